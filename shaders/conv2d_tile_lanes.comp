#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
// See conv2d_tile.glsl. The lanes of a subgroup share their weights. INPUT() is there.
#define SHARE_LANES
#include "conv2d_tile.glsl"
