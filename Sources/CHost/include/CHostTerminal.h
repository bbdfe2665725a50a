// The terminal as a machine's console: every key goes to the guest, and however the process ends, the terminal is as it was.
#ifndef MYNAH_CHOST_TERMINAL_H
#define MYNAH_CHOST_TERMINAL_H

// Puts the terminal `descriptor` into raw mode; output keeps its line ends. Returns 0, or an errno.
int mynah_terminal_make_raw(int descriptor);
// As it was before the first make_raw. Harmless at any time, also in a signal handler.
void mynah_terminal_restore(void);
// Blocks the signals that end or stop a process in this thread and those that it starts, so that `mynah_wait_for_signal` gets
// them.
void mynah_block_ending_signals(void);
// Waits for one of them; SIGCONT too. Returns its number.
int mynah_wait_for_signal(void);
// Ends the process by a signal, as if it had never been blocked.
void mynah_die_by_signal(int number);
// Stops this process as SIGTSTP does; returns when it goes on.
void mynah_stop_self(void);

#endif
