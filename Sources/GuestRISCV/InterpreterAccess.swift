// Small conversions and guest memory access, inlined into the interpreter's functions.

extension RISCVInterpreter {
    @inline(__always) static func signed(_ value: UInt64) -> Int64 { Int64(bitPattern: value) }
    @inline(__always) static func unsigned(_ value: Int64) -> UInt64 { UInt64(bitPattern: value) }
    /// The low 32 bits.
    @inline(__always) static func word(_ value: UInt64) -> Int32 { Int32(truncatingIfNeeded: value) }
    @inline(__always) static func low(_ value: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: value) }
    /// 32 bits, sign-extended.
    @inline(__always) static func extended(_ value: Int32) -> UInt64 { UInt64(bitPattern: Int64(value)) }
    @inline(__always) static func extended(_ value: UInt32) -> UInt64 { extended(Int32(bitPattern: value)) }

    // SAFETY: a guest address is a host address by the memory model; what is not mapped there faults, which the caller of the
    // interpreter recovers from. Address arithmetic starts at a constant because a guest may also access address 0.
    @inline(__always)
    static func host(_ address: UInt64) -> UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(bitPattern: 4096).unsafelyUnwrapped + (Int(truncatingIfNeeded: address) &- 4096)
    }
    @inline(__always)
    static func load<T: BitwiseCopyable>(_ address: UInt64, _ type: T.Type) -> T { host(address).loadUnaligned(as: type) }
    @inline(__always)
    static func store<T: BitwiseCopyable>(_ address: UInt64, _ value: T) { host(address).storeBytes(of: value, as: T.self) }
}
