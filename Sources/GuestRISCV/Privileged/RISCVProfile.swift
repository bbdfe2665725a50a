// What a hart tells software that it can do: the names of its extensions, for device trees.

package enum RISCVProfile {
    /// Extensions with names of several letters, in the order of the manual.
    package static let extensions = [
        "zicbom", "zicbop", "zicboz", "zicntr", "zicond", "zicsr", "zifencei", "zihintntl", "zihintpause", "zihpm", "zimop",
        "zawrs", "zfa", "zca", "zcb", "zcd", "zcmop", "zba", "zbb", "zbc",
        "zbkb", "zbkc", "zbkx", "zbs", "zknd", "zkne", "zknh", "zkr", "zksed", "zksh",
        "sstc", "svadu", "svinval", "svnapot", "svpbmt",
    ]
    package static let baseISA = "rv64i"
    package static let letters = ["i", "m", "a", "f", "d", "c"]
    /// `riscv,isa`.
    package static var isaString: String { "rv64" + letters.joined() + extensions.map { "_" + $0 }.joined() }
    /// `mmu-type`.
    package static let translation = "riscv,sv57"
    /// Bytes of a block of the `cbo` instructions.
    package static let cacheBlockBytes = 64
}
