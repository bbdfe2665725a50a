// Where each IR value is while a translation is emitted.
//
// One forward pass decides and emits at once. A value may be in a scratch register, in a spill slot, or identical with the
// present content of a guest slot (whose home is a host register or state memory), in any combination; constants are made
// again where they are needed. Guest slots are up to date when an instruction runs that may be observed, but for those whose
// writes are deferred.

import IR
import X86

/// What is known of one value. Trivial; an array of them is reused between translations.
struct ValueState {
    static let nowhere: UInt8 = 0xff
    /// Index of the last instruction that uses the value; the defining index when nothing does.
    var lastUse: Int32 = -1
    var useCount: Int32 = 0
    /// Scratch register number, or `nowhere`.
    var register: UInt8 = ValueState.nowhere
    /// An f32 whose register must have all ones in the upper half: somebody looks at the whole.
    var needsUpperHalf = false
    /// Computed where it is used: a comparison that fuses with its only user.
    var isDeferred = false
    /// Computed only by those who look at a deferred write: see `Translator+DeferredWrites`.
    var isSunk = false
    /// Computed before its place, together with another value.
    var isComputed = false
    /// Users of a canonical NaN that are content with any: arithmetic, and writes that stay pending.
    var lenientUses: Int32 = 0
    /// Spill slot, or -1.
    var spill: Int16 = -1
    /// Guest slot whose content the value is, or -1.
    var slot: Int16 = -1
    /// The first `write` that takes the value to a slot with a home: its instruction index, or -1.
    var targetWrite: Int32 = -1
    /// Of a `write`: the last instruction before it at which the state may be seen, or -1.
    var observer: Int32 = -1
    /// The same of a `write` that may be deferred: the last that sees it; and of the value of such.
    var deferredUntil: Int32 = -1
    /// How long values that are made from it when somebody looks are needed.
    var sunkUntil: Int32 = -1
    /// Uses by writes that may be deferred, and by sunk values.
    var hiddenUses: Int32 = 0
    /// The first write that may be deferred and takes it to a slot with a home, or -1.
    var homeWrite: Int32 = -1
    /// Of an `and`: who only wants to know whether it is zero, which a test tells, or -1.
    var tester: Int32 = -1
    /// A slot that it is written to, or -1.
    var writtenSlot: Int16 = -1
    /// The most steps that are made from it.
    var stepsBehind: UInt8 = 0
    /// It is made into something together with another value.
    var hasPartner = false
    /// Sunk, and the comparison with zero tests.
    var isTested = false
}

/// One event of the allocation, recorded for the independent checker.
package enum AllocationEvent: Equatable, Sendable {
    package enum Place: Hashable, Sendable {
        case register(UInt8), vector(UInt8), spill(Int), slot(Int)
        /// Of a slot that has a home.
        case memory(Int)
    }
    /// The instruction puts its result there.
    case define(value: Int, Place)
    /// The instruction at `user` reads the value from there.
    case use(value: Int, Place, user: Int)
    case move(from: Place, to: Place)
    case clobber(Place)
    /// `write` of the slot took effect: its place must hold the value.
    case commit(slot: Int, value: Int)
    /// Every guest slot must be up to date here, or deferred.
    case observe
    /// The home of the slot is lent: until it is given back, or written, who observes finds the slot in memory.
    case lend(slot: Int)
    case giveBack(slot: Int)
    /// Whoever observes takes the slot from memory.
    case recall(slot: Int)
    /// `write` of the slot is left to those who observe.
    case suspend(slot: Int, value: Int)
    /// Whoever observes makes the slot's value from these.
    case promise(slot: Int, value: Int, [Origin])

    package struct Origin: Equatable, Sendable {
        package var value: Int
        /// nil for a constant.
        package var place: Place?
        package init(value: Int, place: Place?) {
            self.value = value
            self.place = place
        }
    }
}
