// Numbers of the host's (x86-64) system calls that handlers make themselves. Calls that are only forwarded have their
// number in their row.

package enum HostCall {
    package static let close = 3
    package static let fstat = 5
    package static let uname = 63
    package static let semctl = 66
    package static let getcwd = 79
    package static let epollCtl = 233
    package static let openat = 257
    package static let newfstatat = 262
    package static let readlinkat = 267
    package static let pselect6 = 270
    package static let ppoll = 271
    package static let epollPwait = 281
    package static let signalfd4 = 289
    package static let dup3 = 292
    package static let nameToHandleAt = 303
    package static let statx = 332
    package static let closeRange = 436
    package static let openat2 = 437
    package static let epollPwait2 = 441
}
