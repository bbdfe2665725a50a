// Packed integer operations under their own names.

extension Assembler {
    // MARK: Logic

    @inlinable package mutating func pand(_ destination: XMM, _ source: XMM) { vector(.pand, destination, source) }
    @inlinable package mutating func pand(_ destination: XMM, _ source: Memory) { vector(.pand, destination, source) }
    @inlinable package mutating func pandn(_ destination: XMM, _ source: XMM) { vector(.pandn, destination, source) }
    @inlinable package mutating func pandn(_ destination: XMM, _ source: Memory) { vector(.pandn, destination, source) }
    @inlinable package mutating func por(_ destination: XMM, _ source: XMM) { vector(.por, destination, source) }
    @inlinable package mutating func por(_ destination: XMM, _ source: Memory) { vector(.por, destination, source) }
    @inlinable package mutating func pxor(_ destination: XMM, _ source: XMM) { vector(.pxor, destination, source) }
    @inlinable package mutating func pxor(_ destination: XMM, _ source: Memory) { vector(.pxor, destination, source) }

    // MARK: Addition and subtraction

    @inlinable package mutating func paddb(_ destination: XMM, _ source: XMM) { vector(.paddb, destination, source) }
    @inlinable package mutating func paddb(_ destination: XMM, _ source: Memory) { vector(.paddb, destination, source) }
    @inlinable package mutating func paddw(_ destination: XMM, _ source: XMM) { vector(.paddw, destination, source) }
    @inlinable package mutating func paddw(_ destination: XMM, _ source: Memory) { vector(.paddw, destination, source) }
    @inlinable package mutating func paddd(_ destination: XMM, _ source: XMM) { vector(.paddd, destination, source) }
    @inlinable package mutating func paddd(_ destination: XMM, _ source: Memory) { vector(.paddd, destination, source) }
    @inlinable package mutating func paddq(_ destination: XMM, _ source: XMM) { vector(.paddq, destination, source) }
    @inlinable package mutating func paddq(_ destination: XMM, _ source: Memory) { vector(.paddq, destination, source) }
    @inlinable package mutating func psubb(_ destination: XMM, _ source: XMM) { vector(.psubb, destination, source) }
    @inlinable package mutating func psubb(_ destination: XMM, _ source: Memory) { vector(.psubb, destination, source) }
    @inlinable package mutating func psubw(_ destination: XMM, _ source: XMM) { vector(.psubw, destination, source) }
    @inlinable package mutating func psubw(_ destination: XMM, _ source: Memory) { vector(.psubw, destination, source) }
    @inlinable package mutating func psubd(_ destination: XMM, _ source: XMM) { vector(.psubd, destination, source) }
    @inlinable package mutating func psubd(_ destination: XMM, _ source: Memory) { vector(.psubd, destination, source) }
    @inlinable package mutating func psubq(_ destination: XMM, _ source: XMM) { vector(.psubq, destination, source) }
    @inlinable package mutating func psubq(_ destination: XMM, _ source: Memory) { vector(.psubq, destination, source) }

    // MARK: Multiplication

    @inlinable package mutating func pmullw(_ destination: XMM, _ source: XMM) { vector(.pmullw, destination, source) }
    @inlinable package mutating func pmullw(_ destination: XMM, _ source: Memory) { vector(.pmullw, destination, source) }
    @inlinable package mutating func pmulhw(_ destination: XMM, _ source: XMM) { vector(.pmulhw, destination, source) }
    @inlinable package mutating func pmulhw(_ destination: XMM, _ source: Memory) { vector(.pmulhw, destination, source) }
    @inlinable package mutating func pmulhuw(_ destination: XMM, _ source: XMM) { vector(.pmulhuw, destination, source) }
    @inlinable package mutating func pmulhuw(_ destination: XMM, _ source: Memory) { vector(.pmulhuw, destination, source) }
    @inlinable package mutating func pmuludq(_ destination: XMM, _ source: XMM) { vector(.pmuludq, destination, source) }
    @inlinable package mutating func pmuludq(_ destination: XMM, _ source: Memory) { vector(.pmuludq, destination, source) }
    @inlinable package mutating func pmaddwd(_ destination: XMM, _ source: XMM) { vector(.pmaddwd, destination, source) }
    @inlinable package mutating func pmaddwd(_ destination: XMM, _ source: Memory) { vector(.pmaddwd, destination, source) }
    @inlinable package mutating func pmulld(_ destination: XMM, _ source: XMM) { vector(.pmulld, destination, source) }
    @inlinable package mutating func pmulld(_ destination: XMM, _ source: Memory) { vector(.pmulld, destination, source) }

    // MARK: Comparison, minimum, maximum

    @inlinable package mutating func pcmpeqb(_ destination: XMM, _ source: XMM) { vector(.pcmpeqb, destination, source) }
    @inlinable package mutating func pcmpeqb(_ destination: XMM, _ source: Memory) { vector(.pcmpeqb, destination, source) }
    @inlinable package mutating func pcmpeqw(_ destination: XMM, _ source: XMM) { vector(.pcmpeqw, destination, source) }
    @inlinable package mutating func pcmpeqw(_ destination: XMM, _ source: Memory) { vector(.pcmpeqw, destination, source) }
    @inlinable package mutating func pcmpeqd(_ destination: XMM, _ source: XMM) { vector(.pcmpeqd, destination, source) }
    @inlinable package mutating func pcmpeqd(_ destination: XMM, _ source: Memory) { vector(.pcmpeqd, destination, source) }
    @inlinable package mutating func pcmpeqq(_ destination: XMM, _ source: XMM) { vector(.pcmpeqq, destination, source) }
    @inlinable package mutating func pcmpeqq(_ destination: XMM, _ source: Memory) { vector(.pcmpeqq, destination, source) }
    @inlinable package mutating func pcmpgtb(_ destination: XMM, _ source: XMM) { vector(.pcmpgtb, destination, source) }
    @inlinable package mutating func pcmpgtb(_ destination: XMM, _ source: Memory) { vector(.pcmpgtb, destination, source) }
    @inlinable package mutating func pcmpgtw(_ destination: XMM, _ source: XMM) { vector(.pcmpgtw, destination, source) }
    @inlinable package mutating func pcmpgtw(_ destination: XMM, _ source: Memory) { vector(.pcmpgtw, destination, source) }
    @inlinable package mutating func pcmpgtd(_ destination: XMM, _ source: XMM) { vector(.pcmpgtd, destination, source) }
    @inlinable package mutating func pcmpgtd(_ destination: XMM, _ source: Memory) { vector(.pcmpgtd, destination, source) }
    @inlinable package mutating func pcmpgtq(_ destination: XMM, _ source: XMM) { vector(.pcmpgtq, destination, source) }
    @inlinable package mutating func pcmpgtq(_ destination: XMM, _ source: Memory) { vector(.pcmpgtq, destination, source) }
    @inlinable package mutating func pminub(_ destination: XMM, _ source: XMM) { vector(.pminub, destination, source) }
    @inlinable package mutating func pminub(_ destination: XMM, _ source: Memory) { vector(.pminub, destination, source) }
    @inlinable package mutating func pmaxub(_ destination: XMM, _ source: XMM) { vector(.pmaxub, destination, source) }
    @inlinable package mutating func pmaxub(_ destination: XMM, _ source: Memory) { vector(.pmaxub, destination, source) }
    @inlinable package mutating func pminsw(_ destination: XMM, _ source: XMM) { vector(.pminsw, destination, source) }
    @inlinable package mutating func pminsw(_ destination: XMM, _ source: Memory) { vector(.pminsw, destination, source) }
    @inlinable package mutating func pmaxsw(_ destination: XMM, _ source: XMM) { vector(.pmaxsw, destination, source) }
    @inlinable package mutating func pmaxsw(_ destination: XMM, _ source: Memory) { vector(.pmaxsw, destination, source) }

    // MARK: Arrangement

    @inlinable package mutating func punpcklbw(_ destination: XMM, _ source: XMM) { vector(.punpcklbw, destination, source) }
    @inlinable package mutating func punpcklbw(_ destination: XMM, _ source: Memory) { vector(.punpcklbw, destination, source) }
    @inlinable package mutating func punpcklwd(_ destination: XMM, _ source: XMM) { vector(.punpcklwd, destination, source) }
    @inlinable package mutating func punpcklwd(_ destination: XMM, _ source: Memory) { vector(.punpcklwd, destination, source) }
    @inlinable package mutating func punpckldq(_ destination: XMM, _ source: XMM) { vector(.punpckldq, destination, source) }
    @inlinable package mutating func punpckldq(_ destination: XMM, _ source: Memory) { vector(.punpckldq, destination, source) }
    @inlinable package mutating func punpcklqdq(_ destination: XMM, _ source: XMM) { vector(.punpcklqdq, destination, source) }
    @inlinable package mutating func punpcklqdq(_ destination: XMM, _ source: Memory) { vector(.punpcklqdq, destination, source) }
    @inlinable package mutating func punpckhbw(_ destination: XMM, _ source: XMM) { vector(.punpckhbw, destination, source) }
    @inlinable package mutating func punpckhbw(_ destination: XMM, _ source: Memory) { vector(.punpckhbw, destination, source) }
    @inlinable package mutating func punpckhwd(_ destination: XMM, _ source: XMM) { vector(.punpckhwd, destination, source) }
    @inlinable package mutating func punpckhwd(_ destination: XMM, _ source: Memory) { vector(.punpckhwd, destination, source) }
    @inlinable package mutating func punpckhdq(_ destination: XMM, _ source: XMM) { vector(.punpckhdq, destination, source) }
    @inlinable package mutating func punpckhdq(_ destination: XMM, _ source: Memory) { vector(.punpckhdq, destination, source) }
    @inlinable package mutating func punpckhqdq(_ destination: XMM, _ source: XMM) { vector(.punpckhqdq, destination, source) }
    @inlinable package mutating func punpckhqdq(_ destination: XMM, _ source: Memory) { vector(.punpckhqdq, destination, source) }
    @inlinable package mutating func packuswb(_ destination: XMM, _ source: XMM) { vector(.packuswb, destination, source) }
    @inlinable package mutating func packuswb(_ destination: XMM, _ source: Memory) { vector(.packuswb, destination, source) }
    @inlinable package mutating func pshufb(_ destination: XMM, _ source: XMM) { vector(.pshufb, destination, source) }
    @inlinable package mutating func pshufb(_ destination: XMM, _ source: Memory) { vector(.pshufb, destination, source) }

    // MARK: Shifts by a register

    @inlinable package mutating func psllw(_ destination: XMM, _ source: XMM) { vector(.psllw, destination, source) }
    @inlinable package mutating func psllw(_ destination: XMM, _ source: Memory) { vector(.psllw, destination, source) }
    @inlinable package mutating func pslld(_ destination: XMM, _ source: XMM) { vector(.pslld, destination, source) }
    @inlinable package mutating func pslld(_ destination: XMM, _ source: Memory) { vector(.pslld, destination, source) }
    @inlinable package mutating func psllq(_ destination: XMM, _ source: XMM) { vector(.psllq, destination, source) }
    @inlinable package mutating func psllq(_ destination: XMM, _ source: Memory) { vector(.psllq, destination, source) }
    @inlinable package mutating func psrlw(_ destination: XMM, _ source: XMM) { vector(.psrlw, destination, source) }
    @inlinable package mutating func psrlw(_ destination: XMM, _ source: Memory) { vector(.psrlw, destination, source) }
    @inlinable package mutating func psrld(_ destination: XMM, _ source: XMM) { vector(.psrld, destination, source) }
    @inlinable package mutating func psrld(_ destination: XMM, _ source: Memory) { vector(.psrld, destination, source) }
    @inlinable package mutating func psrlq(_ destination: XMM, _ source: XMM) { vector(.psrlq, destination, source) }
    @inlinable package mutating func psrlq(_ destination: XMM, _ source: Memory) { vector(.psrlq, destination, source) }
    @inlinable package mutating func psraw(_ destination: XMM, _ source: XMM) { vector(.psraw, destination, source) }
    @inlinable package mutating func psraw(_ destination: XMM, _ source: Memory) { vector(.psraw, destination, source) }
    @inlinable package mutating func psrad(_ destination: XMM, _ source: XMM) { vector(.psrad, destination, source) }
    @inlinable package mutating func psrad(_ destination: XMM, _ source: Memory) { vector(.psrad, destination, source) }
}
