// Regions that follow calls: callees inside of them, calls that leave them and come back, returns to other places.

import CHost
import Engine
import Glibc
import Guest
import GuestRISCV
import Testing

/// A loop, counted by x20, around a call of each of `functions`, which are laid out behind the program's end. Calls are `jal ra`.
private func loopAround(
    iterations: Int32 = 40, behindCall: [UInt32] = [Encode.addi(22, 22, 1)], _ functions: [(inout ItemList, [Int]) -> Void]
) -> ItemList {
    var list = ItemList()
    list.words(Encode.addi(20, 0, iterations))
    let start = list.here
    var calls: [Int] = []
    for _ in functions {
        calls.append(list.here)
        list.call(0)
        behindCall.forEach { list.words($0) }
    }
    list.words(Encode.addi(20, 20, -1))
    list.branch(1, 20, 0, to: start)
    let end = list.branch(0, 0, 0)
    var starts: [Int] = []
    for (call, function) in zip(calls, functions) {
        list.land(call: call)
        starts.append(list.here)
        function(&list, starts)
    }
    list.land(end)
    return list
}

private let ret = Encode.jr(1)
private let sp: UInt32 = 2

private func enter(_ list: inout ItemList) { list.words(Encode.addi(sp, sp, -16), Encode.store(0x23, 3, 1, sp, 8)) }
private func leave(_ list: inout ItemList) { list.words(Encode.ld(1, sp, 8), Encode.addi(sp, sp, 16), ret) }

@Suite struct RegionCallTests {
    private let executors = RegionExecutors()

    @Test func leafIsFollowed() {
        let list = loopAround([{ list, _ in list.words(Encode.add(23, 23, 20), Encode.mul(24, 23, 20), ret) }])
        let result = executors.agree(list.program())
        #expect(result.words[22] == 40 && result.words[23] == 820)
    }

    /// A callee with a branch and a loop calls another one.
    @Test func nestedCallsAreFollowed() {
        let list = loopAround([
            { list, _ in list.words(Encode.addi(23, 23, 3), Encode.add(29, 29, 23), ret) },
            { list, starts in
                enter(&list)
                list.words(Encode.addi(21, 0, 5))
                let again = list.here
                list.words(Encode.add(25, 25, 21), Encode.mul(28, 25, 23))
                let over = list.branch(4, 28, 25)
                list.call(starts[0])
                list.land(over)
                list.words(Encode.addi(21, 21, -1))
                list.branch(1, 21, 0, to: again)
                leave(&list)
            },
        ])
        executors.agree(list.program([23: 7]))
    }

    /// The callee is in the region: more instructions than the loop has.
    @Test func regionsHoldTheirCallees() {
        let list = loopAround([{ list, _ in list.words(Encode.add(23, 23, 20), Encode.mul(24, 23, 20), ret) }])
        for executor in executors.all {
            _ = executor.run(list.program(), executors.arena)
            #expect(executor.engine.statistics.regionInstructions == 7, "\(executor.name)")
        }
    }

    @Test func recursionIsBounded() {
        let list = loopAround(iterations: 30, [
            { list, starts in
                enter(&list)
                list.words(Encode.addi(23, 23, -1), Encode.add(24, 24, 23))
                let over = list.branch(5, 0, 23)
                list.call(starts[0])
                list.words(Encode.addi(25, 25, 1))
                list.land(over)
                leave(&list)
            }
        ])
        for depth in [3, 400] as [UInt64] { executors.agree(list.program([23: depth])) }
    }

    /// The callee returns behind the place that it should return to, and beside it, in some iterations.
    @Test func returnsToOtherPlacesLeave() {
        let list = loopAround(behindCall: [Encode.addi(22, 22, 1), Encode.addi(24, 24, 3)], [
            { list, _ in
                list.words(
                    Encode.immediate(0x13, 7, 28, 20, 7), Encode.immediate(0x13, 3, 28, 28, 1),
                    Encode.immediate(0x13, 1, 28, 28, 2), Encode.add(1, 1, 28), Encode.add(23, 23, 20), ret)
            }
        ])
        let result = executors.agree(list.program())
        #expect(result.words[22] == 35 && result.words[24] == 120)
    }

    /// Two frames are left at once, by a jump to where the outer one would have returned.
    @Test func framesAreSkipped() {
        let list = loopAround(behindCall: [Encode.addi(22, 22, 1)], [
            { list, _ in
                list.words(Encode.immediate(0x13, 7, 28, 20, 3))
                let over = list.branch(1, 28, 0)
                list.words(Encode.addi(sp, sp, 16), Encode.jr(21))
                list.land(over)
                list.words(ret)
            },
            { list, starts in
                list.words(Encode.addi(21, 1, 0))
                enter(&list)
                list.call(starts[0])
                list.words(Encode.addi(23, 23, 1))
                leave(&list)
            },
        ])
        // Called directly, the first function leaves to what the second one left in x21: start with somewhere harmless.
        var program = list.program()
        program.words[21] = executors.arena.start + 8
        executors.agree(program)
    }

    /// An instruction of the callee, and one behind the call, is overwritten by the callee itself.
    @Test func codeChangesInCallees() {
        for isCaller in [false, true] {
            let list = loopAround([
                { list, starts in
                    list.words(Encode.immediate(0x13, 7, 28, 20, 15))
                    let over = list.branch(1, 28, 0)
                    let place = list.here + 1
                    list.patch(isCaller ? 2 : place, Encode.addi(isCaller ? 22 : 23, isCaller ? 22 : 23, 5))
                    list.words(Encode.addi(23, 23, 1))
                    list.land(over)
                    list.words(Encode.addi(24, 24, 1), ret)
                }
            ])
            var program = list.program()
            program.modifiesCode = true
            executors.agree(program)
        }
    }

    /// A function that is too long to be followed, in the middle of a loop that is a region all the same.
    @Test func longCalleesComeBack() {
        let list = loopAround([
            { list, _ in
                for number in 0 ..< 300 { list.words(Encode.addi(23, 23, Int32(number & 7)), Encode.add(24, 24, 23)) }
                list.words(ret)
            },
            { list, _ in list.words(Encode.add(25, 25, 24), ret) },
        ])
        executors.agree(list.program())
    }

    /// The rounding mode changes in the callee: what stands behind the call is another translation then, also where it was left by a
    /// call.
    @Test func roundingChangesInCallees() {
        for isLong in [false, true] {
            let list = loopAround(behindCall: [0x1a94_07d3 & ~(7 << 12), 0xe207_8e53, Encode.add(22, 22, 28)], [
                { list, _ in
                    if isLong { for _ in 0 ..< 600 { list.words(Encode.addi(24, 24, 1)) } }
                    // slti x28, x20, 20; slli x28, x28, 1; fsrm x28: to nearest first, down later.
                    list.words(
                        Encode.immediate(0x13, 2, 28, 20, 20), Encode.immediate(0x13, 1, 28, 28, 1),
                        Encode.immediate(0x73, 1, 0, 28, 2), ret)
                }
            ])
            executors.agree(list.program([32 + 8: (10.0).bitPattern, 32 + 9: (3.0).bitPattern]), regions: 0)
        }
    }

    /// Loops of nothing but followed calls can be interrupted.
    @Test func endlessLoopsOfCallsEnd() {
        for executor in executors.all {
            var list = loopAround([{ list, _ in list.words(Encode.addi(23, 23, 1), ret) }])
            list.words(0x13)
            var program = list.program()
            // The counter never ends.
            program.items[3] = ProgramItem(content: .plain(Encode.addi(20, 20, 0), byteCount: 4))
            program.load(into: executors.arena, RISCVState(executor.cpu.state))
            let thread = TestThread {
                for _ in 0 ..< 500 {
                    usleep(200)
                    executor.cpu.requestInterrupt()
                }
            }
            var interrupts = 0
            while interrupts < 10 {
                #expect(executor.cpu.run() == .interrupted)
                interrupts += 1
            }
            thread.join()
            mynah_set_current_cpu(nil)
        }
    }
}
