#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
// See conv2d_rows.glsl. The lanes of a subgroup share what they load. INPUT() is there.
#define SHARE_COLUMNS
#include "conv2d_rows.glsl"
