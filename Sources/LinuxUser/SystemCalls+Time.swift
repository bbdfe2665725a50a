// System calls on clocks, sleeping and timers. All structures are the host's; an interrupted sleep that is restarted goes
// on with what remains, since the host call itself is restarted.

extension SystemCallTable {
    package func addTimeCalls() {
        addClockCalls()
        addTimerCalls()
    }

    private func addClockCalls() {
        forward(101, "nanosleep", host: 35, [.structure(.timespec), .structure(.timespecOut)])
        forward(112, "clock_settime", host: 227, [.flags(.clock), .structure(.timespec)])
        forward(113, "clock_gettime", host: 228, [.flags(.clock), .structure(.timespecOut)])
        forward(114, "clock_getres", host: 229, [.flags(.clock), .structure(.timespecOut)])
        forward(115, "clock_nanosleep", host: 230, [
            .flags(.clock), .flags(.timerSet), .structure(.timespec), .structure(.timespecOut),
        ])
        forward(153, "times", host: 100, [.pointer])
        forward(169, "gettimeofday", host: 96, [.structure(.timevalOut), .pointer])
        forward(170, "settimeofday", host: 164, [.structure(.timeval), .pointer])
        forward(171, "adjtimex", host: 159, [.pointer])
        forward(266, "clock_adjtime", host: 305, [.flags(.clock), .pointer])
    }

    private func addTimerCalls() {
        forward(102, "getitimer", host: 36, [.flags(.interval), .structure(.itimerval)])
        forward(103, "setitimer", host: 38, [.flags(.interval), .structure(.itimerval), .pointer])
        // `struct sigevent` is the same; the signal arrives like any other, SIGEV_THREAD_ID names a host thread as the guest
        // does.
        forward(107, "timer_create", host: 222, [.flags(.clock), .pointer, .structure(.intPointer)])
        forward(108, "timer_gettime", host: 224, [.int, .pointer])
        forward(109, "timer_getoverrun", host: 225, [.int])
        forward(110, "timer_settime", host: 223, [.int, .flags(.timerSet), .structure(.itimerspec), .pointer])
        forward(111, "timer_delete", host: 226, [.int])
    }
}
