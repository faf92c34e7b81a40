// How the invocations of conv2d_rows.glsl and conv2d_rows_weight.glsl form teams of lanes that hold neighbouring channels of
// one group and share what they load: an invocation is lane SELF % LANES of team SELF / LANES of those, TEAMS in number, that
// have the same channels; these have the number TEAM_GROUP.
//
// SHARE_COLUMNS, for devices where subgroup shuffles are cheap and loads are not: one subgroup is a workgroup and splits into
// INVOCATIONS / LANES teams. A lane loads its part of what the team needs, and takes every value from its holder by a shuffle
// with an index known at compile time; so loops must be the same for all lanes of the subgroup. Without it every invocation
// is a team, LANES is 1, and loops leave out rows beyond the image.

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint INVOCATIONS = 8;
layout(constant_id = 1) const uint LANES = 1;
#ifdef SHARE_COLUMNS
const bool SHARED = true;
const uint TEAMS = INVOCATIONS / LANES;
#define TEAM_GROUP (gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x)
#define SELF gl_SubgroupInvocationID
#define HELD_BY(holder, value) subgroupShuffle(value, holder)
#else
const bool SHARED = false;
const uint TEAMS = 1;
#define TEAM_GROUP linear_index()
#define SELF 0u
#define HELD_BY(holder, value) value
#endif
