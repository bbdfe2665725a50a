import IR
import Testing

/// Functions that break one rule each, with the message.
private let violations: [(String, String)] = [
    (
        "block0:\n  %0 = read.i64 s1\n  %1 = truncate.i32 %0\n  %2 = add.i64 %0, %1\n  exit 0x4",
        "%2 add: operands and result must be of one integer type"
    ),
    ("block0:\n  %0 = read.i64 s1\n  write.f64 s2, %0\n  exit 0x4", "%1 write: the value is i64, the register f64"),
    ("block0:\n  exit 0x4\n  exit 0x8", "%0 exit: a terminal is exactly the last instruction"),
    ("block0:\n  boundary 0x4", "%0 boundary: a terminal is exactly the last instruction"),
    ("block0:\n  exitIndirect %1\n  %1 = read.i64 s1\n", "%0 exitIndirect: a terminal is exactly the last instruction"),
    ("block0:\n  write.i64 s1, %2\n  %2 = read.i64 s1\n  exit 0x4", "%0 write: uses %2 before its definition"),
    ("block0:\n  jump block1\nblock1(%1: i64):\n  exit 0x4", "%0 jump: 0 arguments for the 1 parameters of block1"),
    (
        "block0:\n  %0 = const.i32 1\n  jump block1(%0)\nblock1(%2: i64):\n  exit 0x4",
        "%1 jump: argument %0 is i32 where block1 wants i64"
    ),
    ("block0:\n  jump block2", "%0 jump: block2 does not exist"),
    ("block0:\n  jump block0", "%0 jump: the entry is not a target"),
    (
        "block0:\n  %0 = read.i64 s1\n  branch %0, block1, block2\nblock1:\n  %2 = read.i64 s1\n  jump block2\nblock2:\n  "
            + "write.i64 s1, %2\n  exit 0x4",
        "%4 write: uses %2, whose block does not dominate this one"
    ),
    ("block0:\n  %0 = const.i32 4294967295\n  exit 0x4", "%0 const: an i32 is kept sign-extended"),
    ("block0:\n  %0 = read.i64 s1\n  %1 = signExtend.i64 %0, 12\n  exit 0x4", "%1 signExtend: extends from 8, 16 or 32 bits"),
    ("block0:\n  %0 = read.i64 s1\n  %1 = load.i32 [%0] u64\n  exit 0x4", "%1 load: accesses more bytes than its type has"),
    ("block0:\n  %0 = read.i64 s1\n  %1 = load.f64 [%0] u32\n  exit 0x4", "%1 load: a float is accessed whole"),
    (
        "block0:\n  %0 = read.i64 s1\n  %1 = floatAdd.f64 %0, %0\n  exit 0x4",
        "%1 floatAdd: operands and result must be of one float type"
    ),
    ("block0:\n  %0 = read.i64 s1\n  %1 = bitcast.f32 %0\n  exit 0x4", "%1 bitcast: pairs an integer and a float of one size"),
]

@Test(arguments: violations.indices)
func violationIsFound(_ index: Int) throws {
    let (text, message) = violations[index]
    let messages = Verifier.messages(for: try Parser().parse(text))
    #expect(messages.contains(message), "\(messages)")
}

@Test func usesOfRemovedInstructionsAreFound() throws {
    let function = try Parser().parse("block0:\n  %0 = read.i64 s1\n  exitIndirect %0\n")
    function[Value(0)] = Instruction(.nop)
    #expect(Verifier.messages(for: function).first == "%1 exitIndirect: uses %0, which has no result")
}
