// What M mode and S mode call the same things (privileged architecture, chapters 3 and 4).
#ifdef MACHINE
#define XSTATUS  mstatus
#define XTVEC    mtvec
#define XSCRATCH mscratch
#define XEPC     mepc
#define XCAUSE   mcause
#define XTVAL    mtval
#define XIE      mie
#define XIP      mip
#define XRET     mret
#define XPP_MASK 0x1800
#define XPP_OWN  0x1800
#define XPIE     0x80
#define XIE_BIT  0x8
#else
#define XSTATUS  sstatus
#define XTVEC    stvec
#define XSCRATCH sscratch
#define XEPC     sepc
#define XCAUSE   scause
#define XTVAL    stval
#define XIE      sie
#define XIP      sip
#define XRET     sret
#define XPP_MASK 0x100
#define XPP_OWN  0x100
#define XPIE     0x20
#define XIE_BIT  0x2
#endif

#define FRAME_BYTES   272
#define STACK_BYTES   16384
#define MAXIMUM_HARTS 8
