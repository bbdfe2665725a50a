// Scheduling, system calls and faults. One lock holds the kernel together: it is taken on every way in and given back on every way out.
#include "kernel.h"

enum { LIMIT = 48, SLICE = 10000 }; // processes; ticks of 100 ns
#define FS_BITS (3ul << 13)
#define FS_CLEAN (2ul << 13)

static struct process processes[LIMIT] __attribute__((aligned(4096)));
static struct process *current[MAXIMUM_HARTS];
static u64 next_pid = 1, preemptions, switches, harts_used, lock;
static u64 *kernel_root;

static void take_lock(void) { while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE)) pause_hart(); }
static void give_lock(void) { __atomic_store_n(&lock, 0, __ATOMIC_RELEASE); }
static void set_timer(void) { sbi_call(0x54494d45, 0, now() + SLICE, 0, 0, 0, 0); }

static void use_space(u64 *root) {
    csr_write(satp, 8ul << 60 | (u64)root >> 12);
    asm volatile("sfence.vma" : : : "memory");
}

static struct process *find(u64 pid) {
    for (int i = 0; i < LIMIT; i++) if (processes[i].state != FREE && processes[i].pid == pid) return &processes[i];
    return 0;
}

static i64 spawn(u64 program, u64 argument, u64 parent) {
    for (int i = 0; i < LIMIT; i++) {
        struct process *process = &processes[i];
        if (process->state != FREE) continue;
        fill_bytes(process, 0, sizeof *process);
        process->pid = next_pid++;
        process->parent = parent;
        process->root = new_space();
        process->heap_end = USER_HEAP;
        process->frame.pc = USER_IMAGE;
        process->frame.x[1] = USER_STACK;
        A0(&process->frame) = program;
        A1(&process->frame) = argument;
        process->frame.status = XPIE | FS_CLEAN; // user mode, with interrupts
        process->state = READY;
        return (i64)process->pid;
    }
    return -1003;
}

static void wake_sleepers(void) {
    u64 time = now();
    for (int i = 0; i < LIMIT; i++)
        if (processes[i].state == SLEEPING && processes[i].wakes_at <= time) processes[i].state = READY;
}

static void idle(void);

// With the lock: runs the next process that is ready, or idles.
_Noreturn static void schedule(void) {
    static int last;
    wake_sleepers();
    current[current_hart()] = 0;
    for (int offset = 1; offset <= LIMIT; offset++) {
        struct process *process = &processes[(last + offset) % LIMIT];
        if (process->state != READY) continue;
        last = (int)(process - processes);
        process->state = RUNNING;
        process->harts_seen |= 1ul << current_hart();
        harts_used |= 1ul << current_hart();
        switches++;
        current[current_hart()] = process;
        use_space(process->root);
        restore_floats(process->floats);
        process->frame.status = (process->frame.status & ~FS_BITS) | FS_CLEAN;
        give_lock();
        go_to(&process->frame);
    }
    use_space(kernel_root);
    give_lock();
    on_own_stack(idle);
}

static void idle(void) {
    for (;;) {
        csr_set(sstatus, XIE_BIT);
        wait_for_interrupt();
        csr_clear(sstatus, XIE_BIT);
    }
}

// The process stops running here and now.
static void leave(struct process *process, enum state state) {
    if ((process->frame.status & FS_BITS) == FS_BITS) save_floats(process->floats);
    process->state = state;
}

static void end(struct process *process, i64 status) {
    use_space(kernel_root);
    drop_space(process->root);
    process->root = 0;
    process->state = ENDED;
    process->status = status;
    for (int i = 0; i < LIMIT; i++) {
        struct process *other = &processes[i];
        if (other->state == WAITING && other->waits_for == process->pid) {
            A0(&other->frame) = (u64)status;
            other->state = READY;
            process->state = FREE;
        }
    }
    if (process->pid != 1) return;
    print("kernel: init ended with %d; %u processes, %u switches, %u preemptions, harts %x, %u pages left\n", status, next_pid - 1, switches,
          preemptions, harts_used, pages_in_use());
    EXPECT(status == 0);
    EXPECT(next_pid - 1 == 29);
    EXPECT(preemptions > 5);
    EXPECT(machine.harts == 1 ? harts_used == 1ul << machine.boot_hart : (harts_used & (harts_used - 1)) != 0);
    EXPECT(pages_in_use() == 1); // the kernel's own table
    power_off(0);
}

static i64 write_out(struct process *process, u64 address, u64 count) {
    for (u64 i = 0; i < count; i++) if (!user_pointer(process->root, address + i)) return -1002;
    for (u64 i = 0; i < count; i++) put_character((char)*user_pointer(process->root, address + i));
    return (i64)count;
}

// With the lock. Calls that stop the process schedule another one and do not come back.
static i64 system_call(struct process *process) {
    struct frame *frame = &process->frame;
    switch (A7(frame)) {
    case CALL_WRITE: return write_out(process, A0(frame), A1(frame));
    case CALL_PID: return (i64)process->pid;
    case CALL_HART: return (i64)current_hart();
    case CALL_SPAWN: return spawn(A0(frame), A1(frame), process->pid);
    case CALL_EXIT:
        end(process, (i64)A0(frame));
        schedule();
    case CALL_YIELD:
        A0(frame) = 0;
        leave(process, READY);
        schedule();
    case CALL_SLEEP:
        process->wakes_at = now() + A0(frame) * 10000;
        A0(frame) = 0;
        leave(process, SLEEPING);
        schedule();
    case CALL_GROW: {
        u64 start = process->heap_end;
        process->heap_end += A0(frame) * 4096; // pages come when they are touched
        return (i64)start;
    }
    case CALL_WAIT: {
        struct process *child = find(A0(frame));
        if (!child || child->parent != process->pid) return -1000;
        if (child->state == ENDED) {
            child->state = FREE;
            return child->status;
        }
        process->waits_for = child->pid;
        leave(process, WAITING);
        schedule();
    }
    default: return -1001;
    }
}

static int is_growth(struct process *process, u64 cause, u64 address) {
    if (cause != LOAD_PAGE && cause != STORE_PAGE) return 0;
    return (address >= USER_HEAP && address < process->heap_end) || (address >= USER_STACK - USER_STACK_BYTES && address < USER_STACK);
}

static int on_exception(u64 cause, u64 value, struct frame *frame) {
    struct process *process = current[current_hart()];
    if ((frame->status & XPP_MASK) == XPP_OWN || !process) return 0;
    take_lock();
    if (cause == CALL_FROM_USER) {
        frame->pc += 4;
        A0(frame) = (u64)system_call(process);
    } else if (is_growth(process, cause, value)) {
        map_fresh(process->root, value & ~4095ul);
        asm volatile("sfence.vma" : : : "memory");
    } else {
        end(process, -(i64)cause);
        schedule();
    }
    give_lock();
    return 1;
}

static int on_interrupt(u64 number, struct frame *frame) {
    (void)frame;
    if (number != SUPERVISOR_TIMER) return 0;
    set_timer();
    take_lock();
    struct process *process = current[current_hart()];
    if (process) {
        preemptions++;
        leave(process, READY);
    }
    schedule();
}

static void start_here(u64 hart) {
    (void)hart;
    csr_set(sie, 1 << SUPERVISOR_TIMER);
    set_timer();
    take_lock();
    schedule();
}

int main_hart(u64 hart, const void *tree) {
    (void)tree;
    exception_handler = on_exception;
    interrupt_handler = on_interrupt;
    kernel_root = take_page();
    for (u64 gigabyte = 0; gigabyte < 4; gigabyte++) kernel_root[gigabyte] = gigabyte << 28 | 0xef;
    print("kernel: %u harts\n", machine.harts);
    spawn(PROGRAM_INIT, 0, 0);
    for (u64 other = 0; other < machine.harts; other++) if (other != hart) EXPECT(start_hart(other, start_here));
    start_here(hart);
    return 0;
}
