// A fiber is a stack that can be switched to. The switch is inline assembly where we have it,
// because swapcontext makes two system calls per switch.
#ifndef SIMT_FIBER_H
#define SIMT_FIBER_H

#include <cstddef>
#include <cstdint>
#include <sys/mman.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
#define SIMT_UCONTEXT
#endif
#ifdef SIMT_UCONTEXT
#include <ucontext.h>
#endif

namespace simt {

struct fiber {
#ifdef SIMT_UCONTEXT
  ucontext_t context;
#else
  void *stack_pointer = nullptr;
#endif
};

// ---- the switch ----

#if defined(SIMT_UCONTEXT)
#elif defined(__x86_64__)
// Pushes the registers that a call preserves; the compiler has saved all others.
extern "C" void simt_switch(void **from, void *to);
__asm__(".pushsection .text\n"
        ".weak simt_switch\n"
        ".type simt_switch, @function\n"
        "simt_switch:\n"
        "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
        "  movq %rsp, (%rdi)\n"
        "  movq %rsi, %rsp\n"
        "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
        "  retq\n"
        ".size simt_switch, . - simt_switch\n"
        ".popsection\n");

// The stack as simt_switch would have left it at the entry of `entry`: six registers, the address
// of `entry`, and a return address so that the alignment is that of a called function.
inline void *first_frame(char *stack_end, void (*entry)()) {
  void **top = reinterpret_cast<void **>(stack_end);
  top[-1] = nullptr;
  top[-2] = reinterpret_cast<void *>(entry);
  return top - 8;
}
#elif defined(__aarch64__)
extern "C" void simt_switch(void **from, void *to);
__asm__(".pushsection .text\n"
        ".weak simt_switch\n"
        ".type simt_switch, %function\n"
        "simt_switch:\n"
        "  sub sp, sp, #160\n"
        "  stp x19, x20, [sp]\n  stp x21, x22, [sp, #16]\n  stp x23, x24, [sp, #32]\n"
        "  stp x25, x26, [sp, #48]\n  stp x27, x28, [sp, #64]\n  stp x29, x30, [sp, #80]\n"
        "  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n  stp d12, d13, [sp, #128]\n"
        "  stp d14, d15, [sp, #144]\n"
        "  mov x9, sp\n  str x9, [x0]\n  mov sp, x1\n"
        "  ldp x19, x20, [sp]\n  ldp x21, x22, [sp, #16]\n  ldp x23, x24, [sp, #32]\n"
        "  ldp x25, x26, [sp, #48]\n  ldp x27, x28, [sp, #64]\n  ldp x29, x30, [sp, #80]\n"
        "  ldp d8, d9, [sp, #96]\n  ldp d10, d11, [sp, #112]\n  ldp d12, d13, [sp, #128]\n"
        "  ldp d14, d15, [sp, #144]\n"
        "  add sp, sp, #160\n"
        "  ret\n"
        ".size simt_switch, . - simt_switch\n"
        ".popsection\n");

inline void *first_frame(char *stack_end, void (*entry)()) {
  void **frame = reinterpret_cast<void **>(stack_end) - 20;
  frame[11] = reinterpret_cast<void *>(entry); // x30, the target of `ret`
  return frame;
}
#endif

inline void switch_fiber(fiber &from, fiber &to) {
#ifdef SIMT_UCONTEXT
  swapcontext(&from.context, &to.context);
#else
  simt_switch(&from.stack_pointer, to.stack_pointer);
#endif
}

// ---- stacks ----

constexpr size_t stack_bytes = 256 << 10, stack_guard = 64 << 10;

// Maps a stack above an inaccessible guard; false if there is no memory. Stacks with different
// numbers begin at different cache sets.
inline bool start_fiber(fiber &made, void (*entry)(), size_t number) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;
  void *mapping = mmap(nullptr, stack_guard + stack_bytes, PROT_NONE, flags, -1, 0);
  if (mapping == MAP_FAILED) {
    return false;
  }
  char *stack = static_cast<char *>(mapping) + stack_guard;
  const size_t usable = stack_bytes - number * 576 % (16 << 10);
  if (mprotect(stack, stack_bytes, PROT_READ | PROT_WRITE) != 0) {
    return false;
  }
#ifdef SIMT_UCONTEXT
  getcontext(&made.context);
  made.context.uc_stack.ss_sp = stack;
  made.context.uc_stack.ss_size = usable;
  made.context.uc_link = nullptr;
  makecontext(&made.context, entry, 0);
#else
  made.stack_pointer = first_frame(stack + usable, entry);
#endif
  return true;
}

} // namespace simt

#endif
