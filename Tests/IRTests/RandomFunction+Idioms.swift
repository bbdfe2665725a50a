import IR

// Shapes that chance alone makes too seldom, each of which some pass looks for.
extension RandomFunction {
    mutating func idiom() {
        switch random.below(5) {
        case 0, 1: repeatOperation()
        case 2, 3: extractField()
        default:
            // A canonicalisation of what may be a signalling NaN, for arithmetic that treats quiet ones alike.
            let type = float()
            let canonical = canonical(type, value(type))
            remember(builder.floatCompare(UInt8(random.below(5)), canonical, value(type)))
        }
    }

    /// An operation or load again, the latter perhaps a little beside.
    private mutating func repeatOperation() {
        let start = Int(function.blocks[function.blocks.count - 1].start)
        let first = max(start, function.count - 40)
        let index = first + random.below(function.count - first)
        var again = function[Value(index)]
        let excluded: Effects = [.writesState, .readsState, .pinned, .terminal, .exits, .writesMemory]
        guard again.type != .none, again.opcode != .parameter, again.opcode.effects.isDisjoint(with: excluded) else { return }
        if again.opcode == .load {
            if random.chance(70) { storeBeside(again) }
            again.immediate = max(0, again.immediate + random.pick([0, 0, 0, 1, 4, -4, 8, -1]))
        }
        let result = builder.emit(again)
        // Which NaN arithmetic gives is not specified.
        let isArithmetic = again.type.isFloat && again.opcode.effects.contains(.raisesFlags)
        show(isArithmetic ? canonical(again.type, result) : result)
    }

    /// Writes the value to a register, so that it makes a difference.
    private mutating func show(_ value: Value) {
        remember(value)
        switch function[value].type {
        case .i64: builder.write(1 + random.below(7), value)
        case .i32: builder.write(1 + random.below(7), builder.signExtend(value, bits: 32))
        case .f64: builder.write(8 + random.below(4), value)
        default: break
        }
    }

    /// A store that overlaps the place of a load, or just does not.
    private mutating func storeBeside(_ load: Instruction) {
        let distance = random.pick([0, 1, 2, 4, 7, 8, -1, -2, -4, -8])
        let access = Access(bytes: random.pick([1, 2, 4, 8]), scale: load.access.scale)
        builder.emit(
            Instruction(
                .store, .i64, a: load.a, b: load.b, c: integer(), detail: access.rawValue,
                immediate: max(0, load.immediate + Int64(distance))))
    }

    /// Some bits of an extended number, of which a narrow store or a mask shows a part.
    private mutating func extractField() {
        let bits = random.pick([UInt8(8), 16, 32])
        let source = random.chance(60) ? builder.signExtend(integer(), bits: bits) : builder.zeroExtend(integer(), bits: bits)
        let shift = random.pick([Opcode.shiftRightArithmetic, .shiftRightLogical, .shiftLeft, .add, .and, .or])
        let field = builder.binary(shift, .i64, source, builder.i64(Int64(1 + random.below(60))))
        switch random.below(3) {
        case 0:
            builder.store(
                .i64, Access(bytes: random.pick([1, 2, 4])), builder.read(0), offset: Int64(8 * random.below(8)), field)
        case 1: show(builder.binary(.and, .i64, field, builder.i64(random.pick([0xff, 0xffff, 0xffff_ffff, 1]))))
        default: show(builder.truncate(field))
        }
    }
}
