// Homes for the registers of a loop.
//
// A superblock that jumps back to its own entry is a loop, and an inner one. Guest registers that it uses and that have no home
// take the homes of registers that it does not use: two moves each on the way in and on every way out, none per iteration.

import CHost
import IR
import X86

extension Translator {
    private static let displacedOffset =
        Int32(MemoryLayout<mynah_cpu>.offset(of: \mynah_cpu.displaced)!) - MYNAH_CPU_HEADER_BYTES
    private static let most = 16

    /// Sets `homes` and `displaced` for the function.
    func chooseHomes() {
        displaced.removeAll(keepingCapacity: true)
        homes = map.home
        let instructions = function.instructions
        let last = instructions[function.count - 1]
        guard last.opcode == .exit, last.hint == .none, UInt64(bitPattern: last.immediate) == function.entry else { return }
        var weights = [Int32](repeating: 0, count: map.slots.count)
        for index in 0 ..< function.count {
            switch instructions[index].opcode {
            case .read: weights[instructions[index].slot] += 1
            case .write: weights[instructions[index].slot] += 2
            // What calls out of the translation stores the homes where the map says.
            case .interpretOne, .floatMinimum, .floatMaximum, .floatToInteger, .integerToFloat: return
            case .multiplyAdd, .multiplySubtract, .negatedMultiplyAdd, .negatedMultiplySubtract:
                if !features.contains(.fma) { return }
            default: break
            }
        }
        pair(weights, map.integerHomes.map { ($0.slot, $0.register.rawValue) }, isFloat: false)
        pair(weights, map.floatHomes.map { ($0.slot, $0.register.rawValue) }, isFloat: true)
    }

    private func pair(_ weights: [Int32], _ all: [(slot: Int, register: UInt8)], isFloat: Bool) {
        var free = all.filter { weights[$0.slot] == 0 }
        while let (slot, register) = free.popLast(), displaced.count < Translator.most {
            var best = -1
            for candidate in weights.indices
            where weights[candidate] >= 2 && homes[candidate] == RegisterMap.none && map.slots[candidate].type.isFloat == isFloat {
                if best < 0 || weights[candidate] > weights[best] { best = candidate }
            }
            if best < 0 { return }
            homes[best] = register
            homes[slot] = RegisterMap.none
            displaced.append(
                DisplacedHome(owner: map.slots[slot].offset, used: map.slots[best].offset, register: register, isFloat: isFloat))
        }
    }

    func emitDisplacement() {
        for (index, home) in displaced.enumerated() {
            move(RegisterMap.state(Translator.displacedOffset + Int32(index) * 8), from: home)
            move(to: home, RegisterMap.state(home.used))
        }
    }

    func emitRestoration() {
        for (index, home) in displaced.enumerated() {
            move(RegisterMap.state(home.used), from: home)
            move(to: home, RegisterMap.state(Translator.displacedOffset + Int32(index) * 8))
        }
    }

    private func move(_ memory: Memory, from home: DisplacedHome) {
        if home.isFloat {
            asm.movs(.double, memory, XMM(rawValue: home.register).unsafelyUnwrapped)
        } else {
            asm.mov(.quad, memory, Register(rawValue: home.register).unsafelyUnwrapped)
        }
    }

    private func move(to home: DisplacedHome, _ memory: Memory) {
        if home.isFloat {
            asm.movs(.double, XMM(rawValue: home.register).unsafelyUnwrapped, memory)
        } else {
            asm.mov(.quad, Register(rawValue: home.register).unsafelyUnwrapped, memory)
        }
    }
}
