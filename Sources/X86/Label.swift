// Labels: places in the code that jumps and memory operands may name before they exist.
// References to an unbound label need no table: each one holds, in its own displacement field, a link to the one
// before it, and `bind` walks that chain. Hence no limit to their number, and nothing left to do in `finish`.

/// A place in the code, valid until the assembler starts anew.
@usableFromInline
package struct Label: Equatable, Sendable {
    @usableFromInline let index: UInt32

    @inlinable init(index: UInt32) { self.index = index }
}

/// What the assembler knows of a label.
struct LabelState {
    static let none = UInt32.max

    /// The offset it is bound to.
    var position = LabelState.none
    /// The last 32-bit reference: offset of the field << 3 | bytes of immediate that follow it. The field holds the
    /// reference before.
    var longChain = LabelState.none
    /// Offset of the last 8-bit reference. The field holds the distance back to the one before, zero at the first:
    /// references that reach one place with a signed byte are less than 255 bytes apart.
    var shortChain = LabelState.none

    var isUnused: Bool { longChain == LabelState.none && shortChain == LabelState.none }
}

extension Assembler {
    /// A label that is not bound yet.
    package mutating func makeLabel() -> Label {
        if Int(labelCount) == labelCapacity { growLabels() }
        (labels + Int(labelCount)).initialize(to: LabelState())
        labelCount &+= 1
        return Label(index: labelCount &- 1)
    }

    /// A label for the next instruction.
    package mutating func makeBoundLabel() -> Label {
        let label = makeLabel()
        bind(label)
        return label
    }

    @inline(never)
    private mutating func growLabels() {
        let larger = UnsafeMutablePointer<LabelState>.allocate(capacity: labelCapacity * 2)
        larger.moveInitialize(from: labels, count: labelCapacity)
        labels.deallocate()
        labels = larger
        labelCapacity *= 2
    }

    @inline(__always)
    private func state(of label: Label) -> UnsafeMutablePointer<LabelState> {
        precondition(label.index < labelCount, "label of another assembly")
        return labels + Int(label.index)
    }

    /// Puts `label` before the next instruction. A label is bound once.
    package mutating func bind(_ label: Label) {
        let state = state(of: label)
        precondition(state.pointee.position == LabelState.none, "label bound twice")
        let position = UInt32(truncatingIfNeeded: offset)
        state.pointee.position = position
        if state.pointee.isUnused || overflowed { return }
        resolveLongReferences(from: state.pointee.longChain, to: position)
        resolveShortReferences(from: state.pointee.shortChain, to: position)
        unresolvedLabels -= 1
    }

    private func resolveLongReferences(from last: UInt32, to position: UInt32) {
        var link = last
        while link != LabelState.none {
            let field = link &>> 3
            let end = field &+ 4 &+ (link & 7)
            let place = base + Int(field)
            link = place.loadUnaligned(as: UInt32.self)
            place.storeBytes(of: position &- end, as: UInt32.self)
        }
    }

    private func resolveShortReferences(from last: UInt32, to position: UInt32) {
        if last == LabelState.none { return }
        var field = Int(last)
        while true {
            let distance = Int(position) - (field + 1)
            precondition(distance <= 127, "short jump over \(distance) bytes")
            let back = Int((base + field).load(as: UInt8.self))
            (base + field).storeBytes(of: UInt8(truncatingIfNeeded: distance), as: UInt8.self)
            if back == 0 { return }
            field -= back
        }
    }

    /// Whether `label` has its place.
    package func isBound(_ label: Label) -> Bool { state(of: label).pointee.position != LabelState.none }

    /// The offset of a bound label from the start of the region.
    package func offset(of label: Label) -> Int {
        precondition(isBound(label), "label is not bound")
        return Int(state(of: label).pointee.position)
    }

    /// Stores a 32-bit displacement to `label` that `immediateLength` bytes of the same instruction follow.
    @inline(__always)
    mutating func storeDisplacement(to label: Label, immediateLength: UInt8 = 0) {
        if overflowed { return store(0 as UInt32) }
        let state = state(of: label)
        let field = UInt32(truncatingIfNeeded: cursor - base)
        if state.pointee.position != LabelState.none {
            return store(state.pointee.position &- (field &+ 4 &+ UInt32(immediateLength)))
        }
        if state.pointee.isUnused { unresolvedLabels += 1 }
        store(state.pointee.longChain)
        state.pointee.longChain = field &<< 3 | UInt32(immediateLength)
    }

    /// Stores an 8-bit displacement to `label`, which has to turn out to be near.
    mutating func storeShortDisplacement(to label: Label) {
        if overflowed { return store(0 as UInt8) }
        let state = state(of: label)
        let field = UInt32(truncatingIfNeeded: cursor - base)
        if let distance = shortDistance(to: label, instructionLength: 1) {
            return store(UInt8(bitPattern: distance))
        }
        precondition(state.pointee.position == LabelState.none, "short jump to a far label")
        if state.pointee.isUnused { unresolvedLabels += 1 }
        let back = state.pointee.shortChain == LabelState.none ? 0 : field &- state.pointee.shortChain
        precondition(back <= 255, "short jumps to one label are \(back) bytes apart")
        store(UInt8(truncatingIfNeeded: back))
        state.pointee.shortChain = field
    }

    /// How far back a bound label is from the end of an instruction that starts here, if a signed byte can say it.
    @inline(__always)
    func shortDistance(to label: Label, instructionLength: Int) -> Int8? {
        let position = state(of: label).pointee.position
        if position == LabelState.none || overflowed { return nil }
        return Int8(exactly: Int(position) &- (cursor - base &+ instructionLength))
    }
}
