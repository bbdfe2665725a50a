// Raw mode that is undone at exit and when a signal kills the process. The state is written before handlers are installed.
#include "CHostTerminal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static struct termios saved;
static volatile sig_atomic_t is_raw;
static int terminal = -1;

void mynah_terminal_restore(void) {
    if (!is_raw) return;
    is_raw = 0;
    // TCSANOW: a guest's output that nobody reads must not hold this up.
    tcsetattr(terminal, TCSANOW, &saved);
}

// Defects of our own: nothing else runs any more.
static void restore_and_die(int number) {
    mynah_terminal_restore();
    signal(number, SIG_DFL);
    raise(number);
}

static void install_handlers(void) {
    static const int defects[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGABRT};
    struct sigaction action, old;
    memset(&action, 0, sizeof action);
    action.sa_handler = restore_and_die;
    action.sa_flags = SA_NODEFER | SA_RESETHAND;
    for (unsigned i = 0; i < sizeof defects / sizeof *defects; i++) {
        // Where somebody else wants it first, that handler decides.
        if (sigaction(defects[i], NULL, &old) == 0 && !(old.sa_flags & SA_SIGINFO) && old.sa_handler == SIG_DFL)
            sigaction(defects[i], &action, NULL);
    }
    atexit(mynah_terminal_restore);
}

int mynah_terminal_make_raw(int descriptor) {
    struct termios raw;
    if (terminal < 0) {
        if (tcgetattr(descriptor, &saved) != 0) return errno;
        terminal = descriptor;
        install_handlers();
    }
    raw = saved;
    raw.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN | ISIG);
    raw.c_cflag = (raw.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(descriptor, TCSANOW, &raw) != 0) return errno;
    is_raw = 1;
    return 0;
}

static sigset_t ending_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGQUIT);
    sigaddset(&set, SIGTSTP);
    sigaddset(&set, SIGCONT);
    return set;
}

void mynah_block_ending_signals(void) {
    sigset_t set = ending_signals();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int mynah_wait_for_signal(void) {
    sigset_t set = ending_signals();
    int number = 0;
    while (sigwait(&set, &number) != 0) {}
    return number;
}

void mynah_die_by_signal(int number) {
    sigset_t set;
    mynah_terminal_restore();
    signal(number, SIG_DFL);
    raise(number);
    sigemptyset(&set);
    sigaddset(&set, number);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    _exit(128 + number);
}

void mynah_stop_self(void) {
    raise(SIGSTOP);
}
