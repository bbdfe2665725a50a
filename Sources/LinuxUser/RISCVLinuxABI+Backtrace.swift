// The calls of a RISC-V program: psABI, "Frame Pointer Convention": the return address is at fp - 8, the caller's fp at fp - 16.

import GuestRISCV

extension RISCVLinuxABI {
    package func isCall(_ encoding: UInt32) -> Bool {
        let instruction = RISCVDecoder.decode(encoding)
        return (instruction.opcode == .jal || instruction.opcode == .jalr) && Int(instruction.rd) == RISCVRegister.returnAddress
    }

    package func registerDump(_ state: UnsafeMutableRawPointer) -> String {
        let view = RISCVState(state)
        return stride(from: 0, to: 32, by: 4).map { first in
            (first ..< first + 4).map { index in
                let digits = String(view[index], radix: 16), name = RISCVRegisterName.name(index)
                return String(repeating: " ", count: 4 - name.count) + name + " "
                    + String(repeating: "0", count: 16 - digits.count) + digits
            }.joined(separator: " ") + "\n"
        }.joined()
    }

    package func backtrace(_ state: UnsafeMutableRawPointer, _ reader: StackReader, limit: Int) -> [BacktraceFrame] {
        let view = RISCVState(state)
        let framePointer = 8, greatestFrame: UInt64 = 8 << 20
        var frames = [BacktraceFrame(address: view.programCounter)]
        // Still the caller's unless the function has called others; then it repeats what the frame says.
        let inRegister = view[RISCVRegister.returnAddress]
        var low = view[RISCVRegister.stackPointer], frame = view[framePointer]
        while frames.count < limit, frame > low, frame - low < greatestFrame, frame & 7 == 0,
            let address = reader.word(frame &- 8), let next = reader.word(frame &- 16), reader.isBehindCall(address) {
            frames.append(BacktraceFrame(address: address))
            low = frame
            frame = next
        }
        if reader.isBehindCall(inRegister), frames.count == 1 || frames[1].address != inRegister {
            frames.insert(BacktraceFrame(address: inRegister, isGuess: frames.count > 1), at: 1)
        }
        guard frames.count <= 2 else { return frames }
        let searchedWords: UInt64 = 4096
        var address = low & ~7
        for _ in 0 ..< searchedWords where frames.count < limit {
            guard let word = reader.word(address) else { break }
            if word & 1 == 0, word != frames.last?.address, reader.isBehindCall(word) {
                frames.append(BacktraceFrame(address: word, isGuess: true))
            }
            address += 8
        }
        return frames
    }
}
