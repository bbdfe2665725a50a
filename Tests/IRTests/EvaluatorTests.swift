import IR
import Testing

/// Evaluates one expression whose result is written to slot 1 (f64: 2), with slot 0 given.
private func evaluate(_ lines: String, slot0: UInt64 = 0, resultSlot: Int = 1) throws -> UInt64 {
    let text = "block0:\n" + lines + "\n  exit 0x10\n"
    let function = try Parser().parse(text)
    #expect(Verifier.messages(for: function) == [])
    let state = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 16)
    defer { state.deallocate() }
    state.initializeMemory(as: UInt64.self, repeating: 0, count: 8)
    state.storeBytes(of: slot0, as: UInt64.self)
    let exit = Evaluator(state: state, slotOffsets: [0, 8, 16, 24]).run(function)
    #expect(exit == .exit(target: 0x10))
    return state.load(fromByteOffset: resultSlot * 8, as: UInt64.self)
}

/// Operation, result type, operands and result, as bit patterns.
private let integerCases: [(String, Type, Int64, Int64, Int64)] = [
    ("add", .i32, 0x7fff_ffff, 1, -0x8000_0000), ("subtract", .i64, 0, 1, -1),
    ("divideSigned", .i64, .min, -1, .min), ("remainderSigned", .i64, .min, -1, 0),
    ("divideSigned", .i32, -0x8000_0000, -1, -0x8000_0000), ("divideSigned", .i64, 7, 0, -1),
    ("remainderSigned", .i32, -7, 0, -7), ("divideUnsigned", .i32, -1, 2, 0x7fff_ffff),
    ("divideUnsigned", .i64, 5, 0, -1), ("remainderUnsigned", .i32, -1, 0, -1),
    ("multiplyHighSigned", .i64, -1, -1, 0), ("multiplyHighUnsigned", .i64, -1, -1, -2),
    ("multiplyHighSignedUnsigned", .i64, -1, -1, -1), ("shiftLeft", .i32, 1, 33, 2),
    ("shiftRightArithmetic", .i32, -8, 1, -4), ("shiftRightLogical", .i32, -8, 1, 0x7fff_fffc),
    ("rotateRight", .i32, 1, 1, -0x8000_0000), ("rotateRight", .i64, 1, 64, 1),
]

@Test(arguments: integerCases.indices)
func integerOperation(_ index: Int) throws {
    let (name, type, a, b, expected) = integerCases[index]
    let widen = type == .i32 ? "  %4 = signExtend.i64 %3, 32\n  write.i64 s1, %4" : "  write.i64 s1, %3"
    let result = try evaluate("  %1 = const.\(type) \(a)\n  %2 = const.\(type) \(b)\n  %3 = \(name).\(type) %1, %2\n" + widen)
    #expect(Int64(bitPattern: result) == expected, "\(name).\(type) \(a), \(b)")
}

/// Operations on the float in slot 0, with the bits of the result.
private let floatCases: [(String, UInt64, UInt64)] = [
    ("%2 = floatToInteger.i64 signed towardZero %1", 0x7ff8_0000_0000_0000, UInt64(Int64.max)),
    ("%2 = floatToInteger.i64 unsigned towardZero %1", (-1.5).bitPattern, 0),
    ("%2 = floatToInteger.i64 unsigned towardZero %1", 0x1.8p63.bitPattern, 0xc000_0000_0000_0000),
    ("%2 = floatToInteger.i64 signed down %1", (-1.5).bitPattern, UInt64(bitPattern: -2)),
    ("%2 = floatToInteger.i64 signed nearestEven %1", 2.5.bitPattern, 2),
    ("%2 = floatCompare.i64 lessQuiet %1, %1", 2.5.bitPattern, 0),
    ("%2 = floatCompare.i64 lessOrEqual %1, %1", 2.5.bitPattern, 1),
]

@Test(arguments: floatCases.indices)
func floatOperation(_ index: Int) throws {
    let (line, source, expected) = floatCases[index]
    #expect(try evaluate("  %1 = read.f64 s0\n  \(line)\n  write.i64 s1, %2", slot0: source) == expected)
}

@Test func boxingOfSingles() throws {
    let unboxed = try evaluate(
        "  %1 = read.f64 s0\n  %2 = unbox.f32 %1\n  %3 = box.f64 %2\n  write.f64 s2, %3", slot0: 5, resultSlot: 2)
    #expect(unboxed == 0xffff_ffff_7fc0_0000)
}

@Test func loopsExchangeParametersAtOnce() throws {
    let function = try Parser().parse(
        """
        block0:
          %0 = const.i64 3
          %1 = const.i64 1
          %2 = const.i64 2
          jump block1(%0, %1, %2)
        block1(%4: i64, %5: i64, %6: i64):
          %7 = const.i64 -1
          %8 = add.i64 %4, %7
          branch %8, block1(%8, %6, %5), block2
        block2:
          write.i64 s0, %5
          exitIndirect %6, return
        """)
    #expect(Verifier.messages(for: function) == [])
    var slot: UInt64 = 0
    let exit = withUnsafeMutableBytes(of: &slot) { Evaluator(state: $0.baseAddress!, slotOffsets: [0]).run(function) }
    #expect(exit == .indirect(target: 2, hint: .return))
    #expect(slot == 1)
}
