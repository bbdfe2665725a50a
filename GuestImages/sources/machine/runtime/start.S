// The first instructions of a bare-metal program, and its way into and out of traps. Assembled for M mode (MACHINE) or for S mode.
//
// a0: number of the hart, a1: address of the device tree, as every firmware and reset vector leaves them.

#include "modes.h"

    .section .text.start, "ax"
    .globl _start
_start:
    csrw    XIE, zero
    mv      tp, a0
#ifdef MACHINE
    csrr    tp, mhartid
    bnez    tp, wait_for_work
#endif
    // Only the boot hart gets here: nothing has run before it.
    la      t0, bss_start
    la      t1, bss_end
1:  bgeu    t0, t1, 2f
    sd      zero, 0(t0)
    addi    t0, t0, 8
    j       1b
2:  call    prepare
    mv      a0, tp
    call    run_main
3:  j       3b

#ifdef MACHINE
// The other harts come here too. They wait until the first one has something for them; all start at once.
wait_for_work:
    la      t0, secondary_work
1:  ld      a1, 0(t0)
    .insn   i 0x0f, 0, x0, x0, 0x010  // pause
    beqz    a1, 1b
    fence   rw, rw
    mv      a0, tp
#endif

// S mode: the address for hart_start. a0: hart, a1: a function that gets the number of the hart.
    .globl secondary_start
secondary_start:
    mv      tp, a0
    mv      s0, a1
    call    prepare
    mv      a0, tp
    jalr    s0
1:  wfi
    j       1b

// Stack of this hart, trap vector, floating point. Keeps a1.
prepare:
    la      sp, stacks
    addi    t0, tp, 1
    li      t1, STACK_BYTES
    mul     t0, t0, t1
    add     sp, sp, t0
    la      t0, trap_entry
    csrw    XTVEC, t0
    csrw    XSCRATCH, zero
    li      t0, 0x2000          // FS: initial
    csrs    XSTATUS, t0
    ret

// Traps. The scratch register holds 0 while this mode runs, and the stack for traps while a lower one does.
    .text
    .globl trap_entry
    .balign 4
trap_entry:
    csrrw   sp, XSCRATCH, sp
    bnez    sp, 1f
    csrr    sp, XSCRATCH
1:  addi    sp, sp, -FRAME_BYTES
    sd      x1, 8(sp)
    .irp    n, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    sd      x\n, 8 * \n(sp)
    .endr
    csrrw   t0, XSCRATCH, zero
    sd      t0, 16(sp)
    csrr    t0, XEPC
    sd      t0, 0(sp)
    csrr    t0, XSTATUS
    sd      t0, 256(sp)
    ld      tp, FRAME_BYTES(sp) // number of the hart, when a lower mode was running
    li      t1, XPP_MASK
    and     t0, t0, t1
    li      t1, XPP_OWN
    bne     t0, t1, 1f
    ld      tp, 32(sp)
1:  csrr    a0, XCAUSE
    csrr    a1, XTVAL
    mv      a2, sp
    call    handle_trap

// sp: a frame. Goes where it says.
    .globl leave_trap
leave_trap:
    ld      t0, 256(sp)
    csrw    XSTATUS, t0
    li      t1, XPP_MASK
    and     t0, t0, t1
    li      t1, XPP_OWN
    beq     t0, t1, 1f
    addi    t0, sp, FRAME_BYTES
    csrw    XSCRATCH, t0
    sd      tp, FRAME_BYTES(sp)
1:  ld      t0, 0(sp)
    csrw    XEPC, t0
    ld      x1, 8(sp)
    .irp    n, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    ld      x\n, 8 * \n(sp)
    .endr
    ld      sp, 16(sp)
    XRET

// long enter_lower(struct frame *frame): runs what the frame says, in a lower mode, until leave_lower is called; the frame has 16
// bytes behind it, which become the start of the stack for traps.
    .globl enter_lower
enter_lower:
    addi    sp, sp, -112
    sd      ra, 0(sp)
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    sd      s\n, 8 + 8 * \n(sp)
    .endr
    la      t0, lower_return
    slli    t1, tp, 3
    add     t0, t0, t1
    sd      sp, 0(t0)
    mv      sp, a0
    j       leave_trap

// void leave_lower(long value): makes the last enter_lower of this hart return the value.
    .globl leave_lower
leave_lower:
    la      t0, lower_return
    slli    t1, tp, 3
    add     t0, t0, t1
    ld      sp, 0(t0)
    ld      ra, 0(sp)
    .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    ld      s\n, 8 + 8 * \n(sp)
    .endr
    addi    sp, sp, 112
    ret

    .bss
    .balign 16
    .globl stacks
stacks:
    .skip   STACK_BYTES * MAXIMUM_HARTS
lower_return:
    .skip   8 * MAXIMUM_HARTS

    .data
    .balign 8
    .globl secondary_work
secondary_work:
    .dword  0
