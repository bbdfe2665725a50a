// Forwards through a superblock with what is known where it starts. Symbols with other roots than slots at the start are only
// good within it.

import IR

/// What is known of the value of each instruction, and of the state behind it.
struct RegionWalk: ~Copyable {
    /// What bytes of memory hold, in terms of this superblock.
    private struct Place {
        var address: Symbol
        var bytes: Int64
        var content: Symbol
        var bits: SignificantBits
    }

    // SAFETY: each has `capacity` elements of a trivial type, at least the function's instruction count; indexed by values of
    // that function, each after `step` was called for its definition.
    private let capacity: Int
    private let symbols: UnsafeMutablePointer<Symbol>
    private let bits: UnsafeMutablePointer<SignificantBits>
    // SAFETY: of `function`.
    private var instructions: UnsafeMutablePointer<Instruction>
    private var function: Function

    /// The last load found what is known already.
    private(set) var isKnownLoad = false
    private let slotTypes: [Type]
    private var slots: [SlotFact] = []
    private var places: [Place] = []
    private var nextRoot: Int32 = 0
    /// The first slot that has a root, for `facts`; by root, valid where `leaderTimes` is `time`.
    private var leaders: [Int32] = []
    private var leaderTimes: [Int32] = []
    private var time: Int32 = 0

    /// - Parameters:
    ///   - slotTypes: the type of each guest register slot.
    ///   - capacity: instructions of a superblock at most.
    init(slotTypes: [Type], capacity: Int) {
        self.slotTypes = slotTypes
        self.capacity = capacity
        symbols = .allocate(capacity: capacity)
        bits = .allocate(capacity: capacity)
        function = Function(capacity: 1)
        instructions = function.instructions
    }

    deinit {
        symbols.deallocate()
        bits.deallocate()
    }

    /// Of the value of an instruction that was stepped over, as a 64-bit number.
    func symbol(_ value: Value) -> Symbol { symbols[Int(value.index)] }
    func significantBits(_ value: Value) -> SignificantBits { bits[Int(value.index)] }

    mutating func start(_ function: Function, _ facts: RegionFacts) {
        precondition(function.count <= capacity)
        self.function = function
        instructions = function.instructions
        nextRoot = Int32(slotTypes.count)
        slots = facts.slots
        places.removeAll(keepingCapacity: true)
        for place in facts.places {
            guard let address = resolve(place.address), let content = resolve(place.content) else { continue }
            places.append(Place(address: address, bytes: Int64(place.bytes), content: content, bits: known(place.content)))
        }
    }

    /// In terms of the roots of slots.
    private func resolve(_ symbol: Symbol) -> Symbol? {
        symbol.root < 0 ? symbol : slots[Int(symbol.root)].symbol.moved(by: symbol.offset)
    }

    /// Bounds of a number in terms of slots at the start.
    private func known(_ symbol: Symbol) -> SignificantBits {
        if let constant = symbol.constant { return SignificantBits(constant: constant, .i64) }
        return symbol.root >= 0 && symbol.offset == 0 ? slots[Int(symbol.root)].bits : SignificantBits(.i64)
    }

    private mutating func fresh() -> Symbol {
        defer { nextRoot += 1 }
        return Symbol(root: nextRoot)
    }

    // MARK: Instructions

    /// Goes over the instruction at `index`.
    mutating func step(_ index: Int) {
        let i = instructions[index]
        switch i.opcode {
        case .nop, .boundary: return
        case .constant where i.type.isInteger:
            set(index, Symbol(root: Symbol.number, offset: i.immediate), SignificantBits(i.type))
        case .guestAddress: set(index, Symbol(root: Symbol.address, offset: i.immediate), SignificantBits(.i64))
        case .read where i.type == .i64 && slotTypes[i.slot] == .i64: set(index, slots[i.slot].symbol, slots[i.slot].bits)
        case .write: if i.type == .i64 { slots[i.slot] = SlotFact(symbol: symbol(i.a), bits: bits[Int(i.a.index)]) }
        case .load: load(i, index)
        case .store: store(i)
        case .interpretOne:
            places.removeAll(keepingCapacity: true)
            for slot in slots.indices { slots[slot] = SlotFact(symbol: fresh()) }
        default:
            if !i.opcode.effects.isDisjoint(with: .writesMemory) { places.removeAll(keepingCapacity: true) }
            compute(i, index)
        }
    }

    private mutating func set(_ index: Int, _ symbol: Symbol, _ known: SignificantBits) {
        symbols[index] = symbol
        bits[index] = symbol.constant.map { SignificantBits(constant: $0, instructions[index].type) } ?? known
    }

    private mutating func compute(_ i: Instruction, _ index: Int) {
        let none = SignificantBits(.i64)
        guard i.type.isInteger else { return set(index, fresh(), none) }
        guard SignificantBits.dependsOnOperands(i.opcode) || i.opcode == .compare else {
            return set(index, fresh(), SignificantBits(of: i, none, none, none, amount: nil))
        }
        let count = i.opcode.operandCount, a = symbols[Int(i.a.index)], b = count > 1 ? symbols[Int(i.b.index)] : a
        if let result = constant(i, a, b) { return set(index, Symbol(root: Symbol.number, offset: result), none) }
        let known = SignificantBits(
            of: i, bits[Int(i.a.index)], count > 1 ? bits[Int(i.b.index)] : none, count > 2 ? bits[Int(i.c.index)] : none,
            amount: count > 1 ? b.constant : nil)
        set(index, symbol(i, a, b) ?? fresh(), known)
    }

    /// The result, when it is known, sign-extended from its type.
    private func constant(_ i: Instruction, _ a: Symbol, _ b: Symbol) -> Int64? {
        if i.opcode == .select { return nil }
        let type = instructions[Int(i.a.index)].type
        if i.opcode == .compare {
            if let left = a.constant, let right = b.constant {
                let left = UInt64(bitPattern: left) & type.mask, right = UInt64(bitPattern: right) & type.mask
                return IntegerEvaluation.compare(i.condition, type, left, right) ? 1 : 0
            }
            if a.root == b.root, i.condition == .equal || i.condition == .notEqual {
                let isEqual = (UInt64(bitPattern: a.offset &- b.offset) & type.mask) == 0
                return isEqual == (i.condition == .equal) ? 1 : 0
            }
            let holds = SignificantBits.compare(i.condition, bits[Int(i.a.index)], bits[Int(i.b.index)], right: b.constant, type)
            return holds.map { $0 ? 1 : 0 }
        }
        guard let left = a.constant, let right = b.constant else { return nil }
        let result = IntegerEvaluation.result(
            of: i.opcode, i.type, detail: i.detail, UInt64(bitPattern: left) & type.mask, UInt64(bitPattern: right) & type.mask)
        return i.type == .i32 ? Int64(Int32(truncatingIfNeeded: result)) : Int64(bitPattern: result)
    }

    /// How the result follows from an operand; nil when it is something else.
    private func symbol(_ i: Instruction, _ a: Symbol, _ b: Symbol) -> Symbol? {
        let known = bits[Int(i.a.index)]
        switch i.opcode {
        case .add where i.type == .i64:
            if let amount = b.constant { return a.moved(by: amount) }
            return a.constant.map { b.moved(by: $0) }
        case .subtract where i.type == .i64: return b.constant.map { a.moved(by: 0 &- $0) }
        case .and where b.constant == ~1 && a.root == Symbol.address && a.offset & 1 == 0: return a
        case .truncate: return known.signed <= 32 ? a : nil
        case .signExtend: return known.signed <= i.detail ? a : nil
        // Of an i32 the symbol is what sign extension makes of it.
        case .zeroExtend:
            let isWide = i.type == .i64 && instructions[Int(i.a.index)].type == .i64
            return known.unsigned <= i.detail && (isWide || known.unsigned < 32) ? a : nil
        default: return nil
        }
    }

    // MARK: Memory

    private func address(_ i: Instruction) -> Symbol? { i.b.isNone ? symbols[Int(i.a.index)].moved(by: i.immediate) : nil }

    private mutating func load(_ i: Instruction, _ index: Int) {
        let none = SignificantBits(.i64)
        isKnownLoad = false
        set(index, fresh(), SignificantBits(of: i, none, none, none, amount: nil))
        if i.access.isOrdered { return places.removeAll(keepingCapacity: true) }
        guard i.type.isInteger, let address = address(i) else { return }
        if let known = content(at: address, i) {
            isKnownLoad = true
            return set(index, known.symbol, i.type == .i32 ? known.bits.reduced(to: 32) : known.bits)
        }
        let bytes = Int64(i.access.bytes)
        places.removeAll { $0.address == address && $0.bytes == bytes }
        if places.count < RegionFacts.mostPlaces {
            places.append(Place(address: address, bytes: bytes, content: symbols[index], bits: number(index)))
        }
    }

    /// Bounds of a value as a 64-bit number.
    private func number(_ index: Int) -> SignificantBits {
        let known = bits[index]
        if instructions[index].type == .i64 || known.unsigned < 32 { return known }
        return SignificantBits(unsigned: 64, signed: known.signed)
    }

    /// What a load from the address gives, where that is the whole of a number.
    private func content(at address: Symbol, _ i: Instruction) -> (symbol: Symbol, bits: SignificantBits)? {
        guard let place = places.first(where: { $0.address == address && $0.bytes == Int64(i.access.bytes) }) else { return nil }
        let width = UInt8(truncatingIfNeeded: place.bytes * 8), isSigned = i.access.isSigned || (i.type == .i32 && width == 32)
        guard width == 64 || (isSigned ? place.bits.signed <= width : place.bits.unsigned <= width) else { return nil }
        return (place.content, place.bits)
    }

    private mutating func store(_ i: Instruction) {
        guard !i.access.isOrdered, !i.type.isVector, let address = address(i)
        else { return places.removeAll(keepingCapacity: true) }
        let bytes = Int64(i.access.bytes)
        places.removeAll { place in
            let distance = place.address.offset &- address.offset
            return place.address.root != address.root || (distance < bytes && distance > -place.bytes)
        }
        guard i.type.isInteger, places.count < RegionFacts.mostPlaces else { return }
        places.append(Place(address: address, bytes: bytes, content: symbols[Int(i.c.index)], bits: number(Int(i.c.index))))
    }

    // MARK: Conditions

    /// The value at `condition` is zero from here on, or is not.
    mutating func assume(_ condition: Value, isZero: Bool) {
        let i = instructions[Int(condition.index)]
        if i.opcode == .compare {
            let isEqual = i.condition == .equal ? !isZero : i.condition == .notEqual ? isZero : false
            guard isEqual, let number = symbols[Int(i.b.index)].constant, significant(i.a) else { return }
            become(symbols[Int(i.a.index)], number)
        } else if isZero, significant(condition) {
            become(symbols[Int(condition.index)], 0)
        }
    }

    /// It is compared as the number that its symbol is.
    private func significant(_ value: Value) -> Bool {
        instructions[Int(value.index)].type.isInteger && symbols[Int(value.index)].root >= 0
    }

    private mutating func become(_ symbol: Symbol, _ number: Int64) {
        func constant(_ other: Symbol) -> Symbol {
            Symbol(root: Symbol.number, offset: number &+ (other.offset &- symbol.offset))
        }
        for slot in slots.indices where slots[slot].symbol.root == symbol.root {
            let result = constant(slots[slot].symbol)
            slots[slot] = SlotFact(symbol: result, bits: SignificantBits(constant: result.offset, .i64))
        }
        for index in places.indices where places[index].content.root == symbol.root {
            places[index].content = constant(places[index].content)
            places[index].bits = SignificantBits(constant: places[index].content.offset, .i64)
        }
    }

    /// What holds when the value at `condition` is not zero.
    mutating func facts(when condition: Value, withPlaces: Bool) -> RegionFacts {
        let slots = slots, places = places
        assume(condition, isZero: false)
        let result = facts(withPlaces: withPlaces)
        self.slots = slots
        self.places = places
        return result
    }

    /// A slot that holds the number now.
    func slot(holding symbol: Symbol) -> Int? { slots.firstIndex { $0.symbol == symbol } }

    // MARK: State

    /// What holds here, for who comes next.
    mutating func facts(withPlaces: Bool) -> RegionFacts {
        time += 1
        if leaders.count < Int(nextRoot) {
            leaders += [Int32](repeating: 0, count: Int(nextRoot) * 2 - leaders.count)
            leaderTimes += [Int32](repeating: 0, count: leaders.count - leaderTimes.count)
        }
        var result = RegionFacts(slotCount: 0)
        result.slots = slots
        for slot in slots.indices {
            let symbol = slots[slot].symbol
            guard symbol.root >= 0 else { continue }
            let root = Int(symbol.root)
            if leaderTimes[root] != time {
                leaderTimes[root] = time
                leaders[root] = Int32(slot)
            }
            let leader = leaders[root]
            result.slots[slot].symbol = Symbol(root: leader, offset: symbol.offset &- slots[Int(leader)].symbol.offset)
        }
        if withPlaces { result.places = places.compactMap { expressed($0) } }
        return result
    }

    /// In terms of what registers hold now.
    private func expressed(_ place: Place) -> PlaceFact? {
        guard let address = expressed(place.address), let content = expressed(place.content) else { return nil }
        return PlaceFact(address: address, bytes: Int(place.bytes), content: content)
    }

    private func expressed(_ symbol: Symbol) -> Symbol? {
        if symbol.root < 0 { return symbol }
        let root = Int(symbol.root)
        guard leaderTimes[root] == time else { return nil }
        let leader = leaders[root]
        return Symbol(root: leader, offset: symbol.offset &- slots[Int(leader)].symbol.offset)
    }
}
