import Testing

@testable import LinuxUser

/// The table covers what a current kernel offers to riscv64, and nothing twice (a second row is a precondition failure).
@Suite struct SystemCallTableTests {
    private let table = SystemCallTable.riscv64()

    /// Numbers that riscv64 does not assign: 244...257 belong to architectures (258 and 259 are riscv's), 295...402 are
    /// unused, 403...423 are for 32-bit time, 415 is a hole.
    private static let unassigned = Set(Array(244...257) + Array(295...423))

    @Test func everyAssignedNumberHasARow() {
        let missing = (0...469).filter { table[$0] == nil && !Self.unassigned.contains($0) }
        #expect(missing == [])
    }

    @Test func unassignedNumbersHaveNone() {
        #expect(Self.unassigned.filter { table[$0] != nil }.sorted() == [])
        #expect(table[-1] == nil && table[SystemCallTable.capacity] == nil)
    }

    @Test func namesAreUnique() {
        let names = (0..<SystemCallTable.capacity).compactMap { table[$0].map { "\($0.name)" } }
        #expect(Set(names).count == names.count)
    }

    @Test func everyRowIsServed() {
        for number in 0..<SystemCallTable.capacity {
            guard let row = table[number] else { continue }
            #expect((row.hostNumber >= 0) != (row.handler != nil), "\(row.name)")
            #expect(row.arguments.count <= 6, "\(row.name)")
        }
    }

    @Test func arguments() {
        var arguments = SystemCallArguments(number: 1, 10, 11, 12, 13, 14, 15)
        #expect((0..<6).map { arguments[$0] } == [10, 11, 12, 13, 14, 15])
        for index in 0..<6 { arguments[index] = UInt64(index) }
        #expect((0..<6).map { arguments[$0] } == [0, 1, 2, 3, 4, 5])
    }
}
