#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// See conv2d_rows_weight.glsl. INPUT() is there.
#include "conv2d_rows_weight.glsl"
