// Numbers that are the same in every run, for tests of any room.

/// SplitMix64.
package struct SplitMix: RandomNumberGenerator {
    private var state: UInt64
    package init(seed: UInt64) { state = seed &* 0xd134_2543_de82_ef95 &+ 0x9e37_79b9_7f4a_7c15 }

    package mutating func next() -> UInt64 {
        state = state &+ 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}

extension RandomNumberGenerator {
    /// A number below `bound`; 0 when there is none.
    package mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(1, bound))) }
    package mutating func chance(oneIn count: Int) -> Bool { below(count) == 0 }
    package mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }

    package mutating func bytes(_ count: Int) -> [UInt8] {
        let words = (0 ..< (count + 7) / 8).map { _ in next() }
        return words.withUnsafeBytes { Array($0.prefix(count)) }
    }
}
