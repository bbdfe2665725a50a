// Regions of loops that indirect jumps close: interpreters with one jump for all operations or one behind each, jumps whose
// targets change, are dropped, are odd, or lie within other instructions.

import CHost
import Engine
import Guest
import GuestRISCV
import Testing

/// Where an interpreter comes to its next operation.
private enum Dispatch { case shared, behindEach }

/// A loop, counted by x20, that jumps to operation x28 of `operations`, which `choose` sets; through x6 and a table of jumps.
private func interpreter(
    iterations: Int32, _ dispatch: Dispatch = .shared, choose: [UInt32], jump: UInt32 = Encode.jr(6), _ operations: [[UInt32]]
) -> ItemList {
    var list = ItemList(), exits: [Int] = []
    func next(_ list: inout ItemList, table: Int) {
        list.words(Encode.addi(20, 20, -1))
        exits.append(list.branch(0, 20, 0))
        choose.forEach { list.words($0) }
        list.words(Encode.immediate(0x13, 1, 28, 28, 2))
        list.address(6, of: table)
        list.words(Encode.add(6, 6, 28), jump)
    }
    let length = choose.count + 6, head = 1, table = head + length
    list.words(Encode.addi(20, 0, iterations))
    next(&list, table: table)
    var start = table + operations.count
    for operation in operations {
        list.jump(to: start)
        start += operation.count + (dispatch == .shared ? 1 : length)
    }
    for operation in operations {
        operation.forEach { list.words($0) }
        if dispatch == .shared { list.jump(to: head) } else { next(&list, table: table) }
    }
    exits.forEach { list.land($0) }
    return list
}

/// Operations that tell in what order they ran.
private func operations(_ count: Int) -> [[UInt32]] {
    (0 ..< count).map { number in
        let sum = UInt32(21 + number % 4)
        return [Encode.addi(sum, sum, Int32(number + 1)), Encode.add(29, 29, sum), Encode.mul(25, 29, sum)]
    }
}

/// x28 = x20 & mask
private func inTurn(_ mask: Int32) -> [UInt32] { [Encode.immediate(0x13, 7, 28, 20, mask)] }
/// x28 = one of eight, of four for the first half of 512 iterations and the other four for the second.
private let laterOthers = [
    Encode.immediate(0x13, 5, 28, 20, 8), Encode.immediate(0x13, 1, 28, 28, 2), Encode.immediate(0x13, 7, 26, 20, 3),
    Encode.add(28, 28, 26), Encode.immediate(0x13, 7, 28, 28, 7),
]

@Suite struct RegionJumpTests {
    private let executors = RegionExecutors()

    @Test(arguments: [1, 2, 3, 4, 5, 6, 7, 8, 16, 32]) func operationsAreSuperblocksOfTheRegion(count: Int) {
        let remainder = [Encode.addi(26, 0, Int32(count)), Encode.register(7, 1, 28, 20, 26)]
        let choose = count & (count - 1) == 0 ? inTurn(Int32(count - 1)) : remainder
        for dispatch in [Dispatch.shared, .behindEach] {
            let program = interpreter(iterations: 1000, dispatch, choose: choose, operations(count)).program()
            executors.agree(program)
            for executor in executors.all {
                let regions = executor.engine.statistics.regionInstructions
                _ = executor.run(program, executors.arena)
                // The whole interpreter is in the last region.
                #expect(executor.engine.statistics.regionInstructions - regions >= count * 4, "\(executor.name)")
            }
        }
    }

    /// Most of it happens in the region, and what is counted adds up to what the interpreter executes.
    @Test(arguments: [false, true]) func regionsAreStayedIn(jumpsBehindEach: Bool) throws {
        let dispatch = jumpsBehindEach ? Dispatch.behindEach : .shared
        let program = interpreter(iterations: 2000, dispatch, choose: inTurn(7), operations(8)).program()
        let executor = RegionExecutors.make("regions", executors.arena) { $0.countsExecutions = true }
        let expected = executors.reference.engine.statistics.interpretedInstructions
        #expect(executor.run(program, executors.arena) == executors.reference.run(program, executors.arena))
        let executed = executors.reference.engine.statistics.interpretedInstructions - expected
        let profile = try #require(executor.engine.executionProfile)
        #expect(profile.translatedInstructions + profile.interpretedInstructions == executed)
        let inRegions = profile.translations.filter(\.isRegion).reduce(0 as UInt64) { $0 + $1.instructionsExecuted }
        #expect(inRegions > executed * 9 / 10, "\(inRegions) of \(executed)")
        for superblock in profile.translations.flatMap(\.superblocks) {
            let left = superblock.events.filter(\.kind.leaves).reduce(0 as UInt64) { $0 + $1.count }
            #expect(left == superblock.executions, "who enters leaves")
        }
    }

    @Test func targetsThatChangeAreFollowed() {
        for dispatch in [Dispatch.shared, .behindEach] {
            let program = interpreter(iterations: 511, dispatch, choose: laterOthers, operations(8)).program()
            executors.agree(program)
            let executor = executors.all[0], before = executor.engine.statistics
            _ = executor.run(program, executors.arena)
            let after = executor.engine.statistics
            #expect(after.regions - before.regions > 1 && after.regions - before.regions <= 16, "\(after)")
        }
    }

    /// Bit 0 of a target does not count.
    @Test func oddTargets() {
        let odd = inTurn(3)
        for jump in [Encode.immediate(0x67, 0, 0, 6, 1), Encode.jr(6)] {
            executors.agree(interpreter(iterations: 400, choose: odd, jump: jump, operations(4)).program())
            executors.agree(interpreter(iterations: 400, .behindEach, choose: odd, jump: jump, operations(4)).program())
        }
    }

    /// An operation that jumps to itself, and leaves when it is told to.
    @Test func jumpsToTheirOwnStart() {
        var list = ItemList()
        list.words(Encode.addi(20, 0, 900))
        list.address(6, of: 2)
        list.words(Encode.addi(20, 20, -1), Encode.add(21, 21, 20))
        let end = list.branch(0, 20, 0)
        list.words(Encode.addi(22, 22, 3), Encode.jr(6))
        list.land(end)
        executors.agree(list.program())
    }

    /// Some jumps are into the middle of an instruction, where another one is.
    @Test func targetsWithinInstructions() {
        var list = ItemList()
        list.words(Encode.addi(20, 0, 800), Encode.addi(10, 0, 5))
        let head = list.here
        list.words(Encode.addi(20, 20, -1))
        let end = list.branch(0, 20, 0)
        list.words(
            Encode.immediate(0x13, 7, 28, 20, 3), Encode.immediate(0x13, 3, 28, 28, 1), Encode.immediate(0x13, 1, 28, 28, 1))
        list.address(6, of: list.here + 3)
        list.words(Encode.add(6, 6, 28), Encode.jr(6))
        // addi x22, x10, 0xb8: its upper half is c.addi x23, 1.
        list.words(Encode.addi(22, 10, 0xb8), Encode.add(24, 24, 22))
        list.jump(to: head)
        list.land(end)
        let result = executors.agree(list.program())
        #expect(result.words[23] == 199)
    }

    /// An operation changes another one, that of the region which runs; later the new code is in a region.
    @Test func operationsThatAreChanged() {
        for dispatch in [Dispatch.shared, .behindEach] {
            let plain = interpreter(iterations: 700, dispatch, choose: inTurn(3), operations(4))
            // Behind the interpreter, which is then run again.
            for (operation, bits) in [(1, Encode.addi(22, 22, 100)), (3, Encode.addi(24, 24, -7))] {
                var list = plain
                let again = list.branch(1, 19, 0)
                list.words(Encode.addi(19, 0, 1))
                let table = plain.items.indices.first { index in
                    if case .jump(_, let target) = plain.items[index].content { return target > index } else { return false }
                }!
                guard case .jump(_, let target) = plain.items[table + operation].content else { preconditionFailure("no table") }
                list.patch(target, bits)
                list.jump(to: 0)
                list.land(again)
                executors.agree(list.program(), regions: 2)
            }
        }
    }

    /// What a run adds to the region of an earlier one keeps what that had.
    @Test func laterRunsKeepTheTargets() {
        let folder = CacheFolder(), arena = executors.arena
        arena.inode = 1
        defer { arena.inode = nil }
        func make() -> EngineExecutor {
            RegionExecutors.make("regions", arena) { $0.translationCache = TranslationCacheOptions(directory: folder.path) }
        }
        // x18 says which operations: x28 = x20 & 3 | x18
        let choose = [Encode.immediate(0x13, 7, 28, 20, 3), Encode.register(6, 0, 28, 28, 18)]
        let list = interpreter(iterations: 900, choose: choose, operations(8))
        for first in [0, 4, 0] as [UInt64] {
            let executor = make(), program = list.program([18: first]), expected = executors.reference.run(program, arena)
            #expect(executor.run(program, arena) == expected)
            executor.engine.saveTranslations()
        }
        let last = make()
        for first in [0, 4] as [UInt64] {
            let program = list.program([18: first]), expected = executors.reference.run(program, arena)
            #expect(last.run(program, arena) == expected)
        }
        let statistics = last.engine.statistics
        #expect(statistics.cacheRegions > 0, "\(statistics)")
    }
}
