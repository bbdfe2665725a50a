// Vector types: their lanes. The first lane is the lowest in memory.

extension Type {
    /// 128 or 256 bits of lanes.
    @inlinable package var isVector: Bool { rawValue >= Type.v16i8.rawValue }

    /// Bytes of one lane; of a scalar, its own.
    @inlinable package var laneByteCount: Int {
        switch self {
        case .v16i8, .v32i8: 1
        case .v8i16, .v16i16: 2
        case .v4i32, .v8i32, .v4f32, .v8f32: 4
        case .v2i64, .v4i64, .v2f64, .v4f64: 8
        default: byteCount
        }
    }

    @inlinable package var laneCount: Int { isVector ? byteCount / laneByteCount : 1 }

    /// The scalar type that a lane is computed and extracted as: lanes narrower than 32 bits are i32, of which the low bits
    /// count.
    @inlinable package var element: Type {
        switch self {
        case .v16i8, .v32i8, .v8i16, .v16i16, .v4i32, .v8i32: .i32
        case .v2i64, .v4i64: .i64
        case .v4f32, .v8f32: .f32
        case .v2f64, .v4f64: .f64
        default: self
        }
    }

    @inlinable package var isFloatVector: Bool { isVector && element.isFloat }
    @inlinable package var isIntegerVector: Bool { isVector && !element.isFloat }

    /// The vector of that many lanes; nil when it does not have 128 or 256 bits.
    package static func vector(lanes: Int, bytes: Int, isFloat: Bool) -> Type? {
        allCases.first { $0.isVector && $0.laneCount == lanes && $0.laneByteCount == bytes && $0.isFloatVector == isFloat }
    }
}
