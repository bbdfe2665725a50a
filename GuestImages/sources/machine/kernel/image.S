// The programs, as programs.c.user became them.
    .section .rodata
    .globl user_image, user_image_end
    .balign 4096
user_image:
    .incbin USER_BINARY
user_image_end:

// _Noreturn void go_to(struct frame *frame): leaves the kernel for what the frame says.
    .text
    .globl go_to
go_to:
    mv      sp, a0
    j       leave_trap

// void on_own_stack(void (*function)(void)): starts anew at the top of this hart's stack.
    .globl on_own_stack
on_own_stack:
    la      sp, stacks
    addi    t0, tp, 1
    li      t1, 16384
    mul     t0, t0, t1
    add     sp, sp, t0
    jr      a0

// Floating-point registers of a process: 32 and fcsr.
    .globl save_floats, restore_floats
save_floats:
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    fsd     f\n, 8 * \n(a0)
    .endr
    frcsr   t0
    sd      t0, 256(a0)
    ret
restore_floats:
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    fld     f\n, 8 * \n(a0)
    .endr
    ld      t0, 256(a0)
    fscsr   t0
    ret
