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

/// A guest register slot that lives in a host register.
package struct Home: Sendable {
    /// Offset of the slot in the state.
    package var offset: Int32
    /// Number of the general or vector register.
    package var register: UInt8
    package var isVector: Bool
}

/// The result of `Translator.translate`.
package struct Translation: Sendable {
    /// Executable address of the entry.
    package var entry: UInt64
    package var byteCount: Int
    package var links: [LinkSite]
    package var positions: [GuestPosition]
    /// What the home registers hold wherever it may fault.
    package var homes: [Home]
}
