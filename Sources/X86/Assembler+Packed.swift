// AVX on whole vectors, of 128 or 256 bits: moves, arithmetic, arrangement. Needs a check of the processor's features: AVX, and
// AVX2 for integers of 256 bits and for broadcasts from a register. Memory need not be aligned.
// Intel 64 manual, volume 2, chapter 5.

extension Assembler {
    // MARK: Moves

    package mutating func vmovups(_ width: VectorWidth, _ destination: XMM, _ source: XMM) {
        emitVEX(.none, .x0F, long: width == .x256, 0x10, destination.rawValue, 0, source.rawValue)
    }
    package mutating func vmovups(_ width: VectorWidth, _ destination: XMM, _ source: Memory) {
        emitVEX(.none, .x0F, long: width == .x256, 0x10, destination.rawValue, 0, source)
    }
    package mutating func vmovups(_ width: VectorWidth, _ destination: Memory, _ source: XMM) {
        emitVEX(.none, .x0F, long: width == .x256, 0x11, source.rawValue, 0, destination)
    }
    /// `vmovd` or `vmovq`.
    package mutating func vmovd(_ width: Width, _ destination: XMM, _ source: Register) {
        emitVEX(.x66, .x0F, wide: width == .quad, 0x6E, destination.rawValue, 0, source.rawValue)
    }
    package mutating func vmovd(_ width: Width, _ destination: Register, _ source: XMM) {
        emitVEX(.x66, .x0F, wide: width == .quad, 0x7E, source.rawValue, 0, destination.rawValue)
    }
    package mutating func vmovd(_ width: Width, _ destination: Memory, _ source: XMM) {
        emitVEX(.x66, .x0F, wide: width == .quad, 0x7E, source.rawValue, 0, destination)
    }

    // MARK: Arithmetic

    /// `voperationp… destination, first, second`
    package mutating func vpacked(
        _ operation: FloatOperation, _ float: FloatWidth, _ width: VectorWidth, _ destination: XMM, _ first: XMM, _ second: XMM
    ) {
        let prefix: OpcodePrefix = float == .single ? .none : .x66
        emitVEX(prefix, .x0F, long: width == .x256, operation.rawValue, destination.rawValue, first.rawValue, second.rawValue)
    }
    package mutating func vsqrtp(_ float: FloatWidth, _ width: VectorWidth, _ destination: XMM, _ source: XMM) {
        vpacked(.sqrt, float, width, destination, .xmm0, source)
    }
    package mutating func vlogic(_ operation: FloatLogic, _ width: VectorWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        emitVEX(.none, .x0F, long: width == .x256, operation.rawValue, destination.rawValue, first.rawValue, second.rawValue)
    }
    /// A fused multiply-add of each element.
    package mutating func vfused(
        _ operation: FusedOperation, _ order: FusedOrder, _ float: FloatWidth, _ width: VectorWidth, _ destination: XMM,
        _ second: XMM,
        _ third: XMM
    ) {
        // The scalar opcode is the odd one of the two.
        let opcode = order.rawValue | operation.rawValue & ~1
        emitVEX(
            .x66, .x0F38, wide: float == .double, long: width == .x256, opcode, destination.rawValue, second.rawValue,
            third.rawValue)
    }
    /// Packed integers: `voperation destination, first, second`.
    package mutating func vector(
        _ operation: VectorOperation, _ width: VectorWidth, _ destination: XMM, _ first: XMM, _ second: XMM
    ) {
        let opcode = UInt8(truncatingIfNeeded: operation.rawValue), map: OpcodeMap = operation.rawValue > 0xFF ? .x0F38 : .x0F
        emitVEX(.x66, map, long: width == .x256, opcode, destination.rawValue, first.rawValue, second.rawValue)
    }

    /// Shifts of elements of 16, 32 or 64 bits by a constant.
    package enum ElementShift: UInt8 {
        case right = 2, rightArithmetic = 4, left = 6
    }
    package mutating func vshift(
        _ shift: ElementShift, elementBytes: Int, _ width: VectorWidth, _ destination: XMM, _ source: XMM, imm: UInt8
    ) {
        precondition(elementBytes < 8 || shift != .rightArithmetic, "there is no arithmetic shift of 64-bit elements")
        let opcode: UInt8 = elementBytes == 2 ? 0x71 : elementBytes == 4 ? 0x72 : 0x73
        emitVEX(.x66, .x0F, long: width == .x256, opcode, shift.rawValue, destination.rawValue, source.rawValue)
        store(imm)
    }

    // MARK: Comparison

    /// Ones in each element where an operand is a NaN. Signalling NaNs raise "invalid".
    package mutating func vcmpunordp(_ float: FloatWidth, _ width: VectorWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        emitVEX(
            float == .single ? .none : .x66, .x0F, long: width == .x256, 0xC2, destination.rawValue, first.rawValue,
            second.rawValue)
        store(3 as UInt8)
    }
    /// Elements of `second` where the sign of `mask`'s is set, otherwise of `first`.
    package mutating func vblendvp(
        _ float: FloatWidth, _ width: VectorWidth, _ destination: XMM, _ first: XMM, _ second: XMM, _ mask: XMM
    ) {
        let opcode: UInt8 = float == .single ? 0x4A : 0x4B
        emitVEX(.x66, .x0F3A, long: width == .x256, opcode, destination.rawValue, first.rawValue, second.rawValue)
        store(mask.rawValue &<< 4)
    }
    /// The signs of the elements.
    package mutating func vmovmskp(_ float: FloatWidth, _ width: VectorWidth, _ destination: Register, _ source: XMM) {
        emitVEX(float == .single ? .none : .x66, .x0F, long: width == .x256, 0x50, destination.rawValue, 0, source.rawValue)
    }
    /// Sets the zero flag when no bit is set in both.
    package mutating func vptest(_ width: VectorWidth, _ first: XMM, _ second: XMM) {
        emitVEX(.x66, .x0F38, long: width == .x256, 0x17, first.rawValue, 0, second.rawValue)
    }

    // MARK: Arrangement

    /// The lowest element of 1, 2, 4 or 8 bytes in all (AVX2).
    package mutating func vpbroadcast(elementBytes: Int, _ width: VectorWidth, _ destination: XMM, _ source: XMM) {
        let opcode: UInt8 = elementBytes == 1 ? 0x78 : elementBytes == 2 ? 0x79 : elementBytes == 4 ? 0x58 : 0x59
        emitVEX(.x66, .x0F38, long: width == .x256, opcode, destination.rawValue, 0, source.rawValue)
    }
    /// A float in memory in all elements.
    package mutating func vbroadcasts(_ float: FloatWidth, _ width: VectorWidth, _ destination: XMM, _ source: Memory) {
        precondition(float == .single || width == .x256, "there is no such instruction: vmovddup does it")
        emitVEX(.x66, .x0F38, long: width == .x256, float == .single ? 0x18 : 0x19, destination.rawValue, 0, source)
    }
    package mutating func vmovddup(_ destination: XMM, _ source: XMM) {
        emitVEX(.xF2, .x0F, 0x12, destination.rawValue, 0, source.rawValue)
    }
    package mutating func vpshufd(_ width: VectorWidth, _ destination: XMM, _ source: XMM, imm order: UInt8) {
        emitVEX(.x66, .x0F, long: width == .x256, 0x70, destination.rawValue, 0, source.rawValue)
        store(order)
    }
    package mutating func vpshuflw(_ destination: XMM, _ source: XMM, imm order: UInt8) {
        emitVEX(.xF2, .x0F, 0x70, destination.rawValue, 0, source.rawValue)
        store(order)
    }
    package mutating func vshufps(_ width: VectorWidth, _ destination: XMM, _ first: XMM, _ second: XMM, imm order: UInt8) {
        emitVEX(.none, .x0F, long: width == .x256, 0xC6, destination.rawValue, first.rawValue, second.rawValue)
        store(order)
    }
    /// Half 0 or 1 of 256 bits.
    package mutating func vextractf128(_ destination: XMM, _ source: XMM, _ half: UInt8) {
        emitVEX(.x66, .x0F3A, long: true, 0x19, source.rawValue, 0, destination.rawValue)
        store(half)
    }
    /// An element of 1, 2, 4 or 8 bytes, zero-extended.
    package mutating func vpextr(elementBytes: Int, _ destination: Register, _ source: XMM, _ index: UInt8) {
        let opcode: UInt8 = elementBytes == 1 ? 0x14 : elementBytes == 2 ? 0x15 : 0x16
        emitVEX(.x66, .x0F3A, wide: elementBytes == 8, opcode, source.rawValue, 0, destination.rawValue)
        store(index)
    }
    /// Elements of `from` bytes as ones of `to` bytes, as many as there is room for.
    package mutating func vpmovx(signed: Bool, from: Int, to: Int, _ width: VectorWidth, _ destination: XMM, _ source: Memory) {
        let digit: UInt8
        switch (from, to) {
        case (1, 2): digit = 0
        case (1, 4): digit = 1
        case (1, 8): digit = 2
        case (2, 4): digit = 3
        case (2, 8): digit = 4
        case (4, 8): digit = 5
        default: preconditionFailure("elements of \(from) bytes do not become ones of \(to)")
        }
        emitVEX(.x66, .x0F38, long: width == .x256, (signed ? 0x20 : 0x30) | digit, destination.rawValue, 0, source)
    }
}
