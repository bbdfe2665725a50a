// Moves between vector registers, general registers and memory.

extension Assembler {
    /// A scalar register move: `movaps`, which has no dependence on the old destination as `movss` and `movsd` have.
    package mutating func movs(_ width: FloatWidth, _ destination: XMM, _ source: XMM) {
        movaps(destination, source)
    }

    /// `movss` or `movsd` load: the rest of the register becomes zero.
    package mutating func movs(_ width: FloatWidth, _ destination: XMM, _ source: Memory) {
        emit(.scalar(width, 0x10), destination.rawValue, source)
    }

    /// `movss` or `movsd` store.
    package mutating func movs(_ width: FloatWidth, _ destination: Memory, _ source: XMM) {
        emit(.scalar(width, 0x11), source.rawValue, destination)
    }

    /// The real `movss` or `movsd` between registers: replaces the lowest element, keeps the others.
    package mutating func movsMerging(_ width: FloatWidth, _ destination: XMM, _ source: XMM) {
        emit(.scalar(width, 0x10), destination.rawValue, source.rawValue)
    }

    // MARK: General registers

    /// `movd` (`long`) or `movq` (`quad`): the rest of the vector register becomes zero.
    package mutating func movd(_ width: Width, _ destination: XMM, _ source: Register) {
        emit(Encoding.two(0x6E).prefixed(0x66).wide(width == .quad), destination.rawValue, source.rawValue)
    }

    /// `movd` (`long`) or `movq` (`quad`).
    package mutating func movd(_ width: Width, _ destination: Register, _ source: XMM) {
        emit(Encoding.two(0x7E).prefixed(0x66).wide(width == .quad), source.rawValue, destination.rawValue)
    }

    /// `movd` (`long`) or `movq` (`quad`) load.
    package mutating func movd(_ width: Width, _ destination: XMM, _ source: Memory) {
        if width == .quad {
            emit(Encoding.two(0x7E).prefixed(0xF3), destination.rawValue, source)
        } else {
            emit(Encoding.two(0x6E).prefixed(0x66), destination.rawValue, source)
        }
    }

    /// `movd` (`long`) or `movq` (`quad`) store.
    package mutating func movd(_ width: Width, _ destination: Memory, _ source: XMM) {
        let opcode: UInt8 = width == .quad ? 0xD6 : 0x7E
        emit(Encoding.two(opcode).prefixed(0x66), source.rawValue, destination)
    }

    /// `movq` between vector registers: the lower half, the upper one becomes zero.
    package mutating func movq(_ destination: XMM, _ source: XMM) {
        emit(Encoding.two(0x7E).prefixed(0xF3), destination.rawValue, source.rawValue)
    }

    package mutating func movq(_ destination: XMM, _ source: Register) { movd(.quad, destination, source) }
    package mutating func movq(_ destination: Register, _ source: XMM) { movd(.quad, destination, source) }
    package mutating func movq(_ destination: XMM, _ source: Memory) { movd(.quad, destination, source) }
    package mutating func movq(_ destination: Memory, _ source: XMM) { movd(.quad, destination, source) }

    // MARK: Whole registers. The `a` forms need memory aligned to 16 bytes.

    package mutating func movaps(_ destination: XMM, _ source: XMM) {
        emit(Encoding.two(0x28), destination.rawValue, source.rawValue)
    }
    package mutating func movaps(_ destination: XMM, _ source: Memory) {
        emit(Encoding.two(0x28), destination.rawValue, source)
    }
    package mutating func movaps(_ destination: Memory, _ source: XMM) {
        emit(Encoding.two(0x29), source.rawValue, destination)
    }

    package mutating func movups(_ destination: XMM, _ source: XMM) {
        emit(Encoding.two(0x10), destination.rawValue, source.rawValue)
    }
    package mutating func movups(_ destination: XMM, _ source: Memory) {
        emit(Encoding.two(0x10), destination.rawValue, source)
    }
    package mutating func movups(_ destination: Memory, _ source: XMM) {
        emit(Encoding.two(0x11), source.rawValue, destination)
    }

    package mutating func movapd(_ destination: XMM, _ source: XMM) {
        emit(Encoding.two(0x28).prefixed(0x66), destination.rawValue, source.rawValue)
    }
    package mutating func movapd(_ destination: XMM, _ source: Memory) {
        emit(Encoding.two(0x28).prefixed(0x66), destination.rawValue, source)
    }
    package mutating func movapd(_ destination: Memory, _ source: XMM) {
        emit(Encoding.two(0x29).prefixed(0x66), source.rawValue, destination)
    }

    package mutating func movdqa(_ destination: XMM, _ source: XMM) {
        emit(Encoding.two(0x6F).prefixed(0x66), destination.rawValue, source.rawValue)
    }
    package mutating func movdqa(_ destination: XMM, _ source: Memory) {
        emit(Encoding.two(0x6F).prefixed(0x66), destination.rawValue, source)
    }
    package mutating func movdqa(_ destination: Memory, _ source: XMM) {
        emit(Encoding.two(0x7F).prefixed(0x66), source.rawValue, destination)
    }

    package mutating func movdqu(_ destination: XMM, _ source: XMM) {
        emit(Encoding.two(0x6F).prefixed(0xF3), destination.rawValue, source.rawValue)
    }
    package mutating func movdqu(_ destination: XMM, _ source: Memory) {
        emit(Encoding.two(0x6F).prefixed(0xF3), destination.rawValue, source)
    }
    package mutating func movdqu(_ destination: Memory, _ source: XMM) {
        emit(Encoding.two(0x7F).prefixed(0xF3), source.rawValue, destination)
    }

    // MARK: Elements (SSE4.1)

    /// Puts a byte in the element `index`.
    package mutating func pinsrb(_ destination: XMM, _ source: Register, _ index: UInt8) {
        emit(Encoding.map3A(0x20).prefixed(0x66), destination.rawValue, source.rawValue)
        store(index)
    }
    package mutating func pinsrb(_ destination: XMM, _ source: Memory, _ index: UInt8) {
        emit(Encoding.map3A(0x20).prefixed(0x66).immediate(1), destination.rawValue, source)
        store(index)
    }
    /// Takes the byte `index` out.
    package mutating func pextrb(_ destination: Register, _ source: XMM, _ index: UInt8) {
        emit(Encoding.map3A(0x14).prefixed(0x66), source.rawValue, destination.rawValue)
        store(index)
    }
    package mutating func pextrb(_ destination: Memory, _ source: XMM, _ index: UInt8) {
        emit(Encoding.map3A(0x14).prefixed(0x66).immediate(1), source.rawValue, destination)
        store(index)
    }

    /// Puts a long in the element `index`.
    package mutating func pinsrd(_ destination: XMM, _ source: Register, _ index: UInt8) {
        emit(Encoding.map3A(0x22).prefixed(0x66), destination.rawValue, source.rawValue)
        store(index)
    }
    package mutating func pinsrd(_ destination: XMM, _ source: Memory, _ index: UInt8) {
        emit(Encoding.map3A(0x22).prefixed(0x66).immediate(1), destination.rawValue, source)
        store(index)
    }
    /// Takes the long `index` out.
    package mutating func pextrd(_ destination: Register, _ source: XMM, _ index: UInt8) {
        emit(Encoding.map3A(0x16).prefixed(0x66), source.rawValue, destination.rawValue)
        store(index)
    }
    package mutating func pextrd(_ destination: Memory, _ source: XMM, _ index: UInt8) {
        emit(Encoding.map3A(0x16).prefixed(0x66).immediate(1), source.rawValue, destination)
        store(index)
    }

    /// Puts a quad in the element `index`.
    package mutating func pinsrq(_ destination: XMM, _ source: Register, _ index: UInt8) {
        emit(Encoding.map3A(0x22).prefixed(0x66).wide(), destination.rawValue, source.rawValue)
        store(index)
    }
    package mutating func pinsrq(_ destination: XMM, _ source: Memory, _ index: UInt8) {
        emit(Encoding.map3A(0x22).prefixed(0x66).wide().immediate(1), destination.rawValue, source)
        store(index)
    }
    /// Takes the quad `index` out.
    package mutating func pextrq(_ destination: Register, _ source: XMM, _ index: UInt8) {
        emit(Encoding.map3A(0x16).prefixed(0x66).wide(), source.rawValue, destination.rawValue)
        store(index)
    }
    package mutating func pextrq(_ destination: Memory, _ source: XMM, _ index: UInt8) {
        emit(Encoding.map3A(0x16).prefixed(0x66).wide().immediate(1), source.rawValue, destination)
        store(index)
    }

    /// `insertps`: bits 6…7 of `selector` choose the source element, 4…5 the destination one, 0…3 what becomes zero.
    package mutating func insertps(_ destination: XMM, _ source: XMM, _ selector: UInt8) {
        emit(Encoding.map3A(0x21).prefixed(0x66), destination.rawValue, source.rawValue)
        store(selector)
    }
    package mutating func insertps(_ destination: XMM, _ source: Memory, _ selector: UInt8) {
        emit(Encoding.map3A(0x21).prefixed(0x66).immediate(1), destination.rawValue, source)
        store(selector)
    }
}
