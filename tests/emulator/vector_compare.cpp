// Vector comparisons. v_cmp writes a mask of lanes; v_cmpx makes it the mask of active lanes, too.
#include "vector_math.h"

static void write_lanes(Wave &wave, const Instruction &inst, bool sets_exec, u64 lanes) {
  lanes &= write_mask(wave, inst);
  write_scalar64(wave, inst.operand[0], lanes);
  if (sets_exec)
    wave.exec() = lanes;
}

// ---- sources: slot 0 or 1 is operand 1 or 2 ----

template <class T> using Read = void (*)(Wave &, const Instruction &, int slot, T *values);

static void read_u32(Wave &wave, const Instruction &inst, int slot, u32 *values) {
  u32 t[64];
  memcpy(values, source32(wave, inst, slot + 1, slot, t), sizeof t);
}

static void read_s32(Wave &wave, const Instruction &inst, int slot, s32 *values) {
  read_u32(wave, inst, slot, (u32 *)values);
}

static void read_u64(Wave &wave, const Instruction &inst, int slot, u64 *values) {
  source_u64(wave, inst, slot + 1, values, false, slot);
}

static void read_s64(Wave &wave, const Instruction &inst, int slot, s64 *values) {
  read_u64(wave, inst, slot, (u64 *)values);
}

static void read_u16(Wave &wave, const Instruction &inst, int slot, u32 *values) {
  source_u16(wave, inst, slot + 1, slot, values);
}

static void read_s16(Wave &wave, const Instruction &inst, int slot, s32 *values) {
  u32 t[64];
  source_u16(wave, inst, slot + 1, slot, t);
  EACH_LANE values[lane] = (s16)t[lane];
}

static void read_f32(Wave &wave, const Instruction &inst, int slot, float *values) {
  u32 t[64];
  memcpy(values, source_f32(wave, inst, slot + 1, slot, t), sizeof t);
}

static void read_f64(Wave &wave, const Instruction &inst, int slot, double *values) {
  source_f64(wave, inst, slot + 1, values, slot);
}

static void read_f16(Wave &wave, const Instruction &inst, int slot, float *values) {
  source_f16(wave, inst, slot + 1, slot, values);
}

// ---- order ----

template <class T, Read<T> READ, class F>
static inline void compare(Wave &wave, const Instruction &inst, bool sets_exec, F f) {
  T a[64], b[64];
  u64 lanes = 0;
  READ(wave, inst, 0, a);
  READ(wave, inst, 1, b);
  EACH_LANE lanes |= (u64)f(a[lane], b[lane]) << lane;
  write_lanes(wave, inst, sets_exec, lanes);
}

#define COMPARISON(T, READ, name, expression)                                                      \
  INSTRUCTION("v_cmp_" name, [](Wave &wave, const Instruction &inst) {                             \
    compare<T, READ>(wave, inst, false,                                                            \
                     []([[maybe_unused]] T a, [[maybe_unused]] T b) { return expression; });       \
  });                                                                                              \
  INSTRUCTION("v_cmpx_" name, [](Wave &wave, const Instruction &inst) {                            \
    compare<T, READ>(wave, inst, true,                                                             \
                     []([[maybe_unused]] T a, [[maybe_unused]] T b) { return expression; });       \
  })

#define INTEGER_COMPARISONS(T, READ, type)                                                         \
  COMPARISON(T, READ, "f_" type, false);                                                           \
  COMPARISON(T, READ, "lt_" type, (a < b));                                                        \
  COMPARISON(T, READ, "eq_" type, (a == b));                                                       \
  COMPARISON(T, READ, "le_" type, (a <= b));                                                       \
  COMPARISON(T, READ, "gt_" type, (a > b));                                                        \
  COMPARISON(T, READ, "ne_" type, (a != b));                                                       \
  COMPARISON(T, READ, "ge_" type, (a >= b));                                                       \
  COMPARISON(T, READ, "t_" type, true)

#define FLOAT_COMPARISONS(T, READ, type)                                                           \
  COMPARISON(T, READ, "f_" type, false);                                                           \
  COMPARISON(T, READ, "lt_" type, (a < b));                                                        \
  COMPARISON(T, READ, "eq_" type, (a == b));                                                       \
  COMPARISON(T, READ, "le_" type, (a <= b));                                                       \
  COMPARISON(T, READ, "gt_" type, (a > b));                                                        \
  COMPARISON(T, READ, "lg_" type, (a < b || a > b));                                               \
  COMPARISON(T, READ, "ge_" type, (a >= b));                                                       \
  COMPARISON(T, READ, "o_" type, (a == a && b == b));                                              \
  COMPARISON(T, READ, "u_" type, (a != a || b != b));                                              \
  COMPARISON(T, READ, "nge_" type, !(a >= b));                                                     \
  COMPARISON(T, READ, "nlg_" type, !(a < b || a > b));                                             \
  COMPARISON(T, READ, "ngt_" type, !(a > b));                                                      \
  COMPARISON(T, READ, "nle_" type, !(a <= b));                                                     \
  COMPARISON(T, READ, "neq_" type, !(a == b));                                                     \
  COMPARISON(T, READ, "nlt_" type, !(a < b));                                                      \
  COMPARISON(T, READ, "tru_" type, true)

INTEGER_COMPARISONS(u32, read_u32, "u32");
INTEGER_COMPARISONS(s32, read_s32, "i32");
INTEGER_COMPARISONS(u64, read_u64, "u64");
INTEGER_COMPARISONS(s64, read_s64, "i64");
INTEGER_COMPARISONS(u32, read_u16, "u16");
INTEGER_COMPARISONS(s32, read_s16, "i16");
FLOAT_COMPARISONS(float, read_f32, "f32");
FLOAT_COMPARISONS(double, read_f64, "f64");
FLOAT_COMPARISONS(float, read_f16, "f16");

// ---- classes of numbers; operand 2 has a bit for each ----

static void compare_class_f32(Wave &wave, const Instruction &inst, bool sets_exec) {
  u32 t[64], wanted[64];
  u64 lanes = 0;
  const u32 *a = (const u32 *)source_f32(wave, inst, 1, 0, t);
  read_u32(wave, inst, 1, wanted);
  EACH_LANE lanes |= (u64)((class_of(a[lane]) & wanted[lane]) != 0) << lane;
  write_lanes(wave, inst, sets_exec, lanes);
}

static void compare_class_f64(Wave &wave, const Instruction &inst, bool sets_exec) {
  double a[64];
  u32 wanted[64];
  u64 lanes = 0;
  read_f64(wave, inst, 0, a);
  read_u32(wave, inst, 1, wanted);
  EACH_LANE lanes |= (u64)((class_of(bits_as<u64>(a[lane])) & wanted[lane]) != 0) << lane;
  write_lanes(wave, inst, sets_exec, lanes);
}

static void compare_class_f16(Wave &wave, const Instruction &inst, bool sets_exec) {
  u16 a[64];
  u32 wanted[64];
  u64 lanes = 0;
  source_f16_bits(wave, inst, 1, 0, a);
  read_u32(wave, inst, 1, wanted);
  EACH_LANE lanes |= (u64)((class_of(a[lane]) & wanted[lane]) != 0) << lane;
  write_lanes(wave, inst, sets_exec, lanes);
}

#define CLASS_COMPARISON(type)                                                                     \
  INSTRUCTION("v_cmp_class_" #type, [](Wave &wave, const Instruction &inst) {                      \
    compare_class_##type(wave, inst, false);                                                       \
  });                                                                                              \
  INSTRUCTION("v_cmpx_class_" #type,                                                               \
              [](Wave &wave, const Instruction &inst) { compare_class_##type(wave, inst, true); })
CLASS_COMPARISON(f32);
CLASS_COMPARISON(f64);
CLASS_COMPARISON(f16);
