// What the back end hands to the engine: the code of one translation and everything needed to link, unlink and explain it.

package enum LinkKind: UInt8, Sendable {
    /// rel32 of a jmp or jcc.
    case jump
    /// rel32 of a call that pushes a predicted return.
    case call
    /// None: a target that an indirect jump of the region is compared with.
    case compared
}

/// A direct transfer out of a translation, which the engine may patch to go straight to its target.
package struct LinkSite: Sendable {
    /// Executable address of the 32-bit displacement, which is within an aligned quadword.
    package var field: UInt64
    /// Executable address of the code that leaves through the dispatcher.
    package var stub: UInt64
    package var target: UInt64
    package var kind: LinkKind
    /// It may close a loop.
    package var isBackward = false
    /// The target may have another page of memory behind it when the transfer is made: its entry has to check.
    package var isChecked = false
    /// To a translation that looks each access up by itself.
    package var isSplit = false
    /// Behind a call, on in the region that made it, as long as that is valid: then to `stub`, and as other links.
    package var isReentry = false

    package init(field: UInt64, stub: UInt64, target: UInt64, kind: LinkKind, isBackward: Bool = false, isChecked: Bool = false) {
        self.field = field
        self.stub = stub
        self.target = target
        self.kind = kind
        self.isBackward = isBackward
        self.isChecked = isChecked
    }
}

/// An inline cache at an indirect transfer: `mov rcx, target; cmp rax, rcx; jne miss; jmp code`. It takes the first target, for good;
/// later ones go through the jump table. Executable addresses.
package struct InlineCache: Sendable {
    /// Where the guest instruction is.
    package var address: UInt64
    /// The 64-bit guest target, aligned to eight; odd while there is none.
    package var target: UInt64
    /// The 32-bit displacements of the jump to the target's code, and of that on a miss; each within an aligned quadword.
    package var hit: UInt64
    package var miss: UInt64
    /// Where a miss goes once there is a target.
    package var lookup: UInt64
    /// In front of it the region compares with targets that are superblocks of its own: of these links, which are never patched,
    /// counted from the translation's first.
    package var cases: Range<Int32>
    /// It has, or had, a target: it never gets another, since CPUs may be between comparing with the first and jumping.
    package var isUsed = false
    /// That target, as long as the code there is valid.
    package var filled: UInt64 = 0
    /// Of the caches that lead to the same block, the one before; the engine's number, -1 for none.
    package var nextIncoming: Int32 = -1
    /// Samples of it that were taken.
    package var samples: Int32 = 0
    package static let noTarget: UInt64 = 1

    package init(
        address: UInt64, target: UInt64 = 0, hit: UInt64 = 0, miss: UInt64 = 0, lookup: UInt64 = 0, cases: Range<Int32> = 0 ..< 0
    ) {
        self.address = address
        self.target = target
        self.hit = hit
        self.miss = miss
        self.lookup = lookup
        self.cases = cases
    }
}

/// Where in the code a guest instruction starts.
package struct GuestPosition: Sendable {
    package var address: UInt64
    package var codeOffset: UInt32
    /// What the state's vector homes lack there, should it be seen.
    package var pending: PendingFloats

    package init(codeOffset: UInt32, address: UInt64, pending: PendingFloats = PendingFloats()) {
        self.codeOffset = codeOffset
        self.address = address
        self.pending = pending
    }
}

/// Vector homes, a bit each by register number, whose content is not yet what the guest would see: see `Translator+PendingFloats`.
package struct PendingFloats: Equatable, Sendable {
    /// A NaN may be any: the guest sees the canonical one.
    package var canonicalNaNs: UInt16 = 0
    /// An f32 whose upper half the guest sees as all ones.
    package var boxes: UInt16 = 0
    var isEmpty: Bool { canonicalNaNs | boxes == 0 }

    package init(canonicalNaNs: UInt16 = 0, boxes: UInt16 = 0) {
        self.canonicalNaNs = canonicalNaNs
        self.boxes = boxes
    }

    /// What the guest sees of `word` in the home.
    package func settled(_ word: UInt64, register: UInt8) -> UInt64 {
        let bit: UInt16 = 1 << UInt16(register)
        if boxes & bit != 0 {
            let isNaN = word & 0x7fff_ffff > 0x7f80_0000
            let single = isNaN && canonicalNaNs & bit != 0 ? 0x7fc0_0000 : word & 0xffff_ffff
            return single | 0xffff_ffff_0000_0000
        }
        let isNaN = word & 0x7fff_ffff_ffff_ffff > 0x7ff0_0000_0000_0000
        return isNaN && canonicalNaNs & bit != 0 ? 0x7ff8_0000_0000_0000 : word
    }
}

/// A guest register slot that lives in a host register.
package struct Home: Sendable {
    /// Offset of the slot in the state.
    package var offset: Int32
    /// Number of the general or vector register.
    package var register: UInt8
    package var isVector: Bool

    package init(offset: Int32, register: UInt8, isVector: Bool) {
        self.offset = offset
        self.register = register
        self.isVector = isVector
    }
}

/// The result of `Translator.translate`.
package struct Translation: Sendable {
    /// Executable address of the entry.
    package var entry: UInt64
    /// Behind the check of the page, for transfers within the page.
    package var innerEntry: UInt64
    /// The same for transfers backwards, which are not counted as executions.
    package var loopEntry: UInt64
    package var byteCount: Int
    package var links: [LinkSite]
    package var caches: [InlineCache]
    package var positions: [GuestPosition]
    /// Superblocks that have a form of vectors as well.
    package var vectorLoopCount = 0
    /// What the home registers hold wherever it may fault.
    package var homes: [Home]
    /// They are those between translations.
    package var hasUsualHomes: Bool
    /// What is to be changed in the code when it, or the guest's code, is somewhere else.
    package var relocations: [Relocation]
    /// It is right only where the guest's code is now.
    package var isTied: Bool
    /// What homes and slots lack where it may fault: code in ascending order.
    package var deferredWrites: [DeferredWrite] = []
    package var deferringCode: [DeferringCode] = []
}
