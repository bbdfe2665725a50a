// What the back end hands to the engine: the code of one translation and everything needed to link, unlink and explain it.

package enum LinkKind: UInt8, Sendable {
    /// rel32 of a jmp or jcc.
    case jump
    /// rel32 of a call that pushes a predicted return.
    case call
}

/// A direct transfer out of a translation, which the engine may patch to go straight to its target.
package struct LinkSite: Sendable {
    /// Executable address of the 32-bit displacement; aligned to four.
    package var field: UInt64
    /// Executable address of the code that leaves through the dispatcher.
    package var stub: UInt64
    package var target: UInt64
    package var kind: LinkKind
}

/// Where in the code a guest instruction starts.
package struct GuestPosition: Sendable {
    package var codeOffset: UInt32
    package var address: UInt64
}

/// A home register that a loop uses for another guest register: at a fault, the state has the content of `used` in the place of
/// `owner`, and that of `owner` in the CPU header's `displaced`, in order.
package struct DisplacedHome: Sendable {
    package var owner: Int32
    package var used: Int32
    var register: UInt8
    var isFloat: Bool
}

/// The result of `Translator.translate`.
package struct Translation: Sendable {
    /// Executable address of the entry.
    package var entry: UInt64
    package var byteCount: Int
    package var links: [LinkSite]
    package var positions: [GuestPosition]
    /// Offsets in the state, see `DisplacedHome`.
    package var displaced: [DisplacedHome]
}
