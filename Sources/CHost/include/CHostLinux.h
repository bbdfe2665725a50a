// The C side of running Linux programs: host signals queued for the guest, system calls that a signal can stop before they
// begin, threads, and the shared-memory child of vfork. No policy: what a signal means to the guest is Swift's business.
#ifndef MYNAH_CHOST_LINUX_H
#define MYNAH_CHOST_LINUX_H

#include <stddef.h>
#include <stdint.h>

struct mynah_cpu;

#define MYNAH_SIGNAL_INFO_BYTES 128
#define MYNAH_SIGNAL_RING 64
// "Not made: a signal came first. Deliver it, then make the call again." (The kernel's internal number, never seen by guests.)
#define MYNAH_RESTART (-512)

// The signals that a guest thread has received but not seen yet. Written by the handler on the thread itself.
typedef struct mynah_signal_record {
    volatile uint32_t pending;      // something was queued since Swift last looked
    volatile uint32_t count;
    struct mynah_cpu *_Nullable cpu;
    uint64_t info[MYNAH_SIGNAL_RING][MYNAH_SIGNAL_INFO_BYTES / 8];   // siginfo_t, oldest first
} mynah_signal_record;

mynah_signal_record *_Nonnull mynah_make_signal_record(struct mynah_cpu *_Nonnull cpu);
void mynah_free_signal_record(mynah_signal_record *_Nonnull record);
// The record of the calling thread; NULL for a thread that runs no guest code.
void mynah_set_signal_record(mynah_signal_record *_Nullable record);
// Takes the oldest signal outside `blocked` (bit n - 1 for signal n) into `info`; returns its number or 0. The calling thread's
// host signals must be blocked.
int mynah_take_signal(mynah_signal_record *_Nonnull record, uint64_t blocked, void *_Nonnull info);
// The set of queued signals.
uint64_t mynah_queued_signals(const mynah_signal_record *_Nonnull record);
// Sends what is still queued to the whole process again: the thread ends.
void mynah_return_signals(mynah_signal_record *_Nonnull record);

enum { MYNAH_SIGNAL_DEFAULT = 0, MYNAH_SIGNAL_IGNORE = 1, MYNAH_SIGNAL_CATCH = 2 };
// What the host does with a signal. `flags` are SA_RESTART, SA_NOCLDSTOP and SA_NOCLDWAIT. Returns 0 or -errno.
int mynah_set_disposition(int signal_number, int disposition, uint64_t flags);
// The host's disposition as inherited from the parent.
int mynah_get_disposition(int signal_number);
// Sets the calling thread's host mask, returns the former one. Memory faults are never blocked.
uint64_t mynah_set_host_mask(uint64_t mask);
// Routes SIGSEGV and SIGBUS that are no faults of guest code here. After the fault handlers were installed.
void mynah_adopt_foreign_faults(void);
// Brings a thread of this process out of `mynah_safe_syscall`, which then gives MYNAH_RESTART, or -EINTR when the call was
// waiting. The guest sees no signal.
void mynah_kick(int thread);
// Ends the process by the signal's default action, or returns if it has none that ends it.
void mynah_die_of_signal(int signal_number);

// The system call words[0] with arguments words[1...6]: result or -errno, or MYNAH_RESTART when `record->pending` was set before
// the host kernel had begun, or when the host would restart it behind a handler with SA_RESTART.
long mynah_safe_syscall(mynah_signal_record *_Nonnull record, const uint64_t *_Nonnull words);

// Starts a detached thread with all signals blocked. Returns 0 or an errno.
int mynah_start_thread(void (*_Nonnull body)(void *_Nullable), void *_Nullable context, size_t stack_bytes);
// fork(2) and vfork(2): returns the child's number to the parent, 0 in the child of a fork. The child of a vfork runs
// body(context), which must not return, in this address space on a stack of its own while the calling thread waits. The child's
// end is told by `exit_signal`, 0 for none (clone(2)). With another one than SIGCHLD, a fork is for processes of one thread.
int mynah_fork(int exit_signal);
int mynah_vfork(void (*_Nonnull body)(void *_Nullable), void *_Nullable context, int exit_signal);
int mynah_thread_id(void);
// Frees the alternate signal stack of a thread that ends.
void mynah_release_alternate_stack(void);

#endif
