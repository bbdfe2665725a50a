// Homes of the guest registers inside of a region.
//
// Guest registers that a loop uses much and that have no home take the homes of registers that it uses less, or not at all: two
// moves each on the way in and on every way out, none per iteration. The displaced ones live in their slots meanwhile.

import IR
import X86

/// A home register that a region uses for another slot than its owner's.
struct DisplacedHome {
    var owner: Int
    var used: Int
    var register: UInt8
    var isVector: Bool
    /// The region writes the slot that is used: otherwise the slot's memory is always up to date.
    var isWritten = true
}

extension Translator {
    /// Moves that a call out of the region, and its return, cost for each home that is not the usual one.
    private static let movesOfCall = 4

    /// Sets `homes` and `displaced` for uses of slots counted as `weights`, and as many calls out of the region that come back.
    func chooseHomes(_ weights: [Int], calls: Int = 0) {
        displaced.removeAll(keepingCapacity: true)
        homes = map.home
        exchange(weights, map.integerHomes.map(\.slot), isVector: false, cost: calls * Translator.movesOfCall)
        exchange(weights, map.floatHomes.map(\.slot), isVector: true, cost: calls * Translator.movesOfCall)
    }

    private func exchange(_ weights: [Int], _ owners: [Int], isVector: Bool, cost: Int) {
        var owners = owners.sorted { weights[$0] > weights[$1] }
        let others = weights.indices.filter { homes[$0] == RegisterMap.none && map.slots[$0].type.isFloat == isVector && weights[$0] > 1 }
        for slot in others.sorted(by: { weights[$0] > weights[$1] }) {
            guard let owner = owners.last, weights[owner] + cost < weights[slot] else { return }
            owners.removeLast()
            displaced.append(DisplacedHome(owner: owner, used: slot, register: homes[owner], isVector: isVector))
            homes[slot] = homes[owner]
            homes[owner] = RegisterMap.none
        }
    }

    /// Counts the writes of slots in `function`, and the uses of what they hold, each `weight` times.
    static func count(_ function: Function, weight: Int, into weights: inout [Int]) {
        let instructions = function.instructions
        var slotOfValue = [Int](repeating: -1, count: function.count)
        func use(_ value: Value) {
            if !value.isNone, slotOfValue[Int(value.index)] >= 0 { weights[slotOfValue[Int(value.index)]] += weight }
        }
        for index in 0 ..< function.count {
            let instruction = instructions[index], count = instruction.opcode.operandCount
            if count > 0 { use(instruction.a) }
            if count > 1 { use(instruction.b) }
            if count > 2 { use(instruction.c) }
            if instruction.opcode == .read {
                slotOfValue[index] = instruction.slot
            } else if instruction.opcode == .write {
                weights[instruction.slot] += weight
                slotOfValue[Int(instruction.a.index)] = instruction.slot
            }
        }
    }

    /// From the homes between translations to those of the region.
    func emitDisplacement() {
        for home in displaced {
            move(map.memory(ofSlot: home.owner), from: home)
            move(to: home, map.memory(ofSlot: home.used))
        }
    }

    /// And back.
    func emitRestoration() {
        for home in displaced {
            if home.isWritten { move(map.memory(ofSlot: home.used), from: home) }
            move(to: home, map.memory(ofSlot: home.owner))
        }
    }

    private func move(_ memory: Memory, from home: DisplacedHome) {
        if home.isVector {
            asm.movs(.double, memory, XMM(rawValue: home.register).unsafelyUnwrapped)
        } else {
            asm.mov(.quad, memory, Register(rawValue: home.register).unsafelyUnwrapped)
        }
    }

    private func move(to home: DisplacedHome, _ memory: Memory) {
        if home.isVector {
            asm.movs(.double, XMM(rawValue: home.register).unsafelyUnwrapped, memory)
        } else {
            asm.mov(.quad, Register(rawValue: home.register).unsafelyUnwrapped, memory)
        }
    }
}

extension Function {
    /// Whether the guest register is ever written.
    func writes(_ slot: Int) -> Bool {
        (0 ..< count).contains { instructions[$0].opcode == .write && instructions[$0].slot == slot }
    }
}
