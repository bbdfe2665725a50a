// Privilege modes, exception causes, interrupts and the fields of status registers. Volume II, chapters 1, 3 and 12 ("mcause").

/// As encoded in `mstatus.MPP`.
package enum PrivilegeMode: UInt8, Sendable {
    case user = 0
    case supervisor = 1
    case machine = 3
}

/// Exception codes of `mcause` and `scause`.
package enum TrapCause {
    package static let instructionMisaligned: UInt64 = 0
    package static let instructionAccessFault: UInt64 = 1
    package static let illegalInstruction: UInt64 = 2
    package static let breakpoint: UInt64 = 3
    package static let loadMisaligned: UInt64 = 4
    package static let loadAccessFault: UInt64 = 5
    package static let storeMisaligned: UInt64 = 6
    package static let storeAccessFault: UInt64 = 7
    package static let userCall: UInt64 = 8
    package static let supervisorCall: UInt64 = 9
    package static let machineCall: UInt64 = 11
    package static let instructionPageFault: UInt64 = 12
    package static let loadPageFault: UInt64 = 13
    package static let storePageFault: UInt64 = 15
    package static let interrupt: UInt64 = 1 << 63
}

/// Bits of `mip` and `mie`; their numbers are the codes of the interrupts.
package enum HartInterrupt {
    package static let supervisorSoftware: UInt64 = 1 << 1
    package static let machineSoftware: UInt64 = 1 << 3
    package static let supervisorTimer: UInt64 = 1 << 5
    package static let machineTimer: UInt64 = 1 << 7
    package static let supervisorExternal: UInt64 = 1 << 9
    package static let machineExternal: UInt64 = 1 << 11
    static let supervisor = supervisorSoftware | supervisorTimer | supervisorExternal
    package static let all = supervisor | machineSoftware | machineTimer | machineExternal
    /// By falling priority.
    static let order: [UInt64] = [11, 3, 7, 9, 1, 5]
}

/// Bits of `mstatus`.
enum Status {
    static let sie: UInt64 = 1 << 1
    static let mie: UInt64 = 1 << 3
    static let spie: UInt64 = 1 << 5
    static let mpie: UInt64 = 1 << 7
    static let spp: UInt64 = 1 << 8
    static let mppShift: UInt64 = 11
    static let mpp: UInt64 = 3 << 11
    static let fs: UInt64 = 3 << 13
    static let mprv: UInt64 = 1 << 17
    static let sum: UInt64 = 1 << 18
    static let mxr: UInt64 = 1 << 19
    static let tvm: UInt64 = 1 << 20
    static let tw: UInt64 = 1 << 21
    static let tsr: UInt64 = 1 << 22
    /// UXL and SXL: 64 bits, fixed.
    static let widths: UInt64 = 2 << 32 | 2 << 34
    static let sd: UInt64 = 1 << 63
    static let writable = sie | mie | spie | mpie | spp | mpp | fs | mprv | sum | mxr | tvm | tw | tsr
    static let supervisorWritable = sie | spie | spp | fs | sum | mxr
    static let supervisorVisible = supervisorWritable | 3 << 32 | sd
}

/// Bits of `mseccfg`: who may use `seed` beside machine mode.
enum SecurityConfiguration {
    static let userSeed: UInt64 = 1 << 8
    static let supervisorSeed: UInt64 = 1 << 9
    static let writable = userSeed | supervisorSeed
}

/// What `seed` shows: a status and, with `ready`, 16 random bits. Cryptography Extensions Volume I, 4.1.
enum Seed {
    static let ready: UInt64 = 2 << 30
}

/// Bits of `menvcfg` and `senvcfg`.
enum EnvironmentConfiguration {
    static let fiom: UInt64 = 1
    static let cbie: UInt64 = 3 << 4
    static let cbcfe: UInt64 = 1 << 6
    static let cbze: UInt64 = 1 << 7
    static let adue: UInt64 = 1 << 61
    static let pbmte: UInt64 = 1 << 62
    static let stce: UInt64 = 1 << 63
    static let supervisorWritable = fiom | cbie | cbcfe | cbze
    static let machineWritable = supervisorWritable | adue | pbmte | stce
}
