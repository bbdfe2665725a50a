// Floating-point arithmetic under its own names: scalar (`adds`), packed (`addp`) and bitwise (`andp`).

extension Assembler {
    // MARK: Scalar

    @inlinable
    package mutating func adds(_ width: FloatWidth, _ destination: XMM, _ source: XMM) {
        scalar(.add, width, destination, source)
    }
    @inlinable
    package mutating func adds(_ width: FloatWidth, _ destination: XMM, _ source: Memory) {
        scalar(.add, width, destination, source)
    }

    @inlinable
    package mutating func subs(_ width: FloatWidth, _ destination: XMM, _ source: XMM) {
        scalar(.sub, width, destination, source)
    }
    @inlinable
    package mutating func subs(_ width: FloatWidth, _ destination: XMM, _ source: Memory) {
        scalar(.sub, width, destination, source)
    }

    @inlinable
    package mutating func muls(_ width: FloatWidth, _ destination: XMM, _ source: XMM) {
        scalar(.mul, width, destination, source)
    }
    @inlinable
    package mutating func muls(_ width: FloatWidth, _ destination: XMM, _ source: Memory) {
        scalar(.mul, width, destination, source)
    }

    @inlinable
    package mutating func divs(_ width: FloatWidth, _ destination: XMM, _ source: XMM) {
        scalar(.div, width, destination, source)
    }
    @inlinable
    package mutating func divs(_ width: FloatWidth, _ destination: XMM, _ source: Memory) {
        scalar(.div, width, destination, source)
    }

    @inlinable
    package mutating func sqrts(_ width: FloatWidth, _ destination: XMM, _ source: XMM) {
        scalar(.sqrt, width, destination, source)
    }
    @inlinable
    package mutating func sqrts(_ width: FloatWidth, _ destination: XMM, _ source: Memory) {
        scalar(.sqrt, width, destination, source)
    }

    @inlinable
    package mutating func mins(_ width: FloatWidth, _ destination: XMM, _ source: XMM) {
        scalar(.min, width, destination, source)
    }
    @inlinable
    package mutating func mins(_ width: FloatWidth, _ destination: XMM, _ source: Memory) {
        scalar(.min, width, destination, source)
    }

    @inlinable
    package mutating func maxs(_ width: FloatWidth, _ destination: XMM, _ source: XMM) {
        scalar(.max, width, destination, source)
    }
    @inlinable
    package mutating func maxs(_ width: FloatWidth, _ destination: XMM, _ source: Memory) {
        scalar(.max, width, destination, source)
    }

    // MARK: Packed

    @inlinable
    package mutating func addp(_ width: FloatWidth, _ destination: XMM, _ source: XMM) {
        packed(.add, width, destination, source)
    }
    @inlinable
    package mutating func addp(_ width: FloatWidth, _ destination: XMM, _ source: Memory) {
        packed(.add, width, destination, source)
    }

    @inlinable
    package mutating func subp(_ width: FloatWidth, _ destination: XMM, _ source: XMM) {
        packed(.sub, width, destination, source)
    }
    @inlinable
    package mutating func subp(_ width: FloatWidth, _ destination: XMM, _ source: Memory) {
        packed(.sub, width, destination, source)
    }

    @inlinable
    package mutating func mulp(_ width: FloatWidth, _ destination: XMM, _ source: XMM) {
        packed(.mul, width, destination, source)
    }
    @inlinable
    package mutating func mulp(_ width: FloatWidth, _ destination: XMM, _ source: Memory) {
        packed(.mul, width, destination, source)
    }

    @inlinable
    package mutating func divp(_ width: FloatWidth, _ destination: XMM, _ source: XMM) {
        packed(.div, width, destination, source)
    }
    @inlinable
    package mutating func divp(_ width: FloatWidth, _ destination: XMM, _ source: Memory) {
        packed(.div, width, destination, source)
    }

    @inlinable
    package mutating func sqrtp(_ width: FloatWidth, _ destination: XMM, _ source: XMM) {
        packed(.sqrt, width, destination, source)
    }
    @inlinable
    package mutating func sqrtp(_ width: FloatWidth, _ destination: XMM, _ source: Memory) {
        packed(.sqrt, width, destination, source)
    }

    @inlinable
    package mutating func minp(_ width: FloatWidth, _ destination: XMM, _ source: XMM) {
        packed(.min, width, destination, source)
    }
    @inlinable
    package mutating func minp(_ width: FloatWidth, _ destination: XMM, _ source: Memory) {
        packed(.min, width, destination, source)
    }

    @inlinable
    package mutating func maxp(_ width: FloatWidth, _ destination: XMM, _ source: XMM) {
        packed(.max, width, destination, source)
    }
    @inlinable
    package mutating func maxp(_ width: FloatWidth, _ destination: XMM, _ source: Memory) {
        packed(.max, width, destination, source)
    }

    // MARK: Bitwise

    @inlinable
    package mutating func andp(_ width: FloatWidth, _ destination: XMM, _ source: XMM) {
        logic(.and, width, destination, source)
    }
    @inlinable
    package mutating func andp(_ width: FloatWidth, _ destination: XMM, _ source: Memory) {
        logic(.and, width, destination, source)
    }

    @inlinable
    package mutating func andnp(_ width: FloatWidth, _ destination: XMM, _ source: XMM) {
        logic(.andn, width, destination, source)
    }
    @inlinable
    package mutating func andnp(_ width: FloatWidth, _ destination: XMM, _ source: Memory) {
        logic(.andn, width, destination, source)
    }

    @inlinable
    package mutating func orp(_ width: FloatWidth, _ destination: XMM, _ source: XMM) {
        logic(.or, width, destination, source)
    }
    @inlinable
    package mutating func orp(_ width: FloatWidth, _ destination: XMM, _ source: Memory) {
        logic(.or, width, destination, source)
    }

    @inlinable
    package mutating func xorp(_ width: FloatWidth, _ destination: XMM, _ source: XMM) {
        logic(.xor, width, destination, source)
    }
    @inlinable
    package mutating func xorp(_ width: FloatWidth, _ destination: XMM, _ source: Memory) {
        logic(.xor, width, destination, source)
    }
}
