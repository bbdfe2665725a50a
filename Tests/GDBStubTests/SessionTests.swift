// What a debugger gets to hear, packet by packet.

import Glibc
import Testing

@testable import GDBStub

@Suite struct SessionTests {
    private let first = DebugThreadID(rawValue: 0x11), second = DebugThreadID(rawValue: 0x12)

    @Test func acknowledgements() {
        let session = DebugSession(target: FakeTarget(), stop: DebugStop(thread: first, signal: .trap))
        func text() -> String { String(decoding: session.takeOutput(), as: UTF8.self) }
        session.receive(Array("$qC#b4".utf8))
        #expect(text() == "+$QC11#f6")
        session.receive(Array("-".utf8))
        #expect(text() == "$QC11#f6")
        session.receive(Array("$qC#b5".utf8))
        #expect(text() == "-")
        session.receive(PacketEncoder.packet(Array("QStartNoAckMode".utf8)))
        #expect(text() == "+$OK#9a")
        session.receive(Array("+-$qC#b5$qC#b4".utf8))
        #expect(text() == "$QC11#f6")
    }

    @Test func negotiation() {
        let talk = Conversation()
        let words = Set(
            talk.ask("qSupported:swbreak+;exec-events+;vContSupported+;nonsense?").split(separator: ";").map(String.init))
        for word in [
            "PacketSize=10000", "QStartNoAckMode+", "qXfer:features:read+", "qXfer:auxv:read+", "qXfer:siginfo:write+",
            "swbreak+", "QCatchSyscalls+",
        ] {
            #expect(words.contains(word), "\(word)")
        }
        #expect(!words.contains("qXfer:memory-map:read+"))
        #expect(talk.ask("vMustReplyEmpty") == "" && talk.ask("nonsense") == "" && talk.ask("") == "" && talk.ask("!") == "")
        #expect(talk.ask("vCont?") == "vCont;c;C;s;S;t;r")
        #expect(
            talk.ask("QNonStop:0") == "OK" && talk.ask("QNonStop:1") == "" && talk.ask("qAttached") == "0"
                && talk.ask("qSymbol::") == "OK")
    }

    @Test func theDescription() {
        let talk = Conversation()
        let whole = talk.ask("qXfer:features:read:target.xml:0,1000")
        #expect(whole.hasPrefix("l<?xml") && whole.contains("<architecture>fake</architecture>"))
        #expect(whole.contains("<reg name=\"c\" bitsize=\"32\" type=\"int\" group=\"system\" regnum=\"2\"/>"))
        var parts = "", offset = 0
        while true {
            let part = talk.ask("qXfer:features:read:target.xml:\(String(offset, radix: 16)),40")
            parts += part.dropFirst()
            offset += part.count - 1
            if part.hasPrefix("l") { break }
            #expect(part.count == 65)
        }
        #expect("l" + parts == whole)
        #expect(talk.ask("qXfer:features:read:other.xml:0,100") == "E00")
        #expect(talk.ask("qXfer:nothing:read::0,100") == "")
        #expect(talk.ask("qXfer:auxv:read::0,100") == "lvector#$}*" && talk.ask("qXfer:auxv:read::100,100") == "E16")
        #expect(talk.ask("qXfer:exec-file:read:1:0,100") == "l/program" && talk.ask("qXfer:exec-file:read:2:0,100") == "E00")
        #expect(talk.ask("qXfer:siginfo:write::7e:ab") == "2" && talk.target.information[126...] == Array("ab".utf8)[...])
        #expect(talk.ask("qXfer:siginfo:write::7f:ab") == "E0e" && talk.ask("qXfer:auxv:write::0:x") == "E0e")
    }

    @Test func threads() {
        let talk = Conversation()
        #expect(talk.ask("qfThreadInfo") == "m11,12" && talk.ask("qsThreadInfo") == "l")
        #expect(talk.ask("qThreadExtraInfo,12") == Hexadecimal.encode("<&> in read"))
        #expect(talk.ask("qThreadExtraInfo,13") == "E03")
        let document = talk.ask("qXfer:threads:read::0,1000")
        #expect(
            document.contains("<thread id=\"11\" name=\"first\"/>")
                && document.contains("<thread id=\"12\" name=\"&lt;&amp;&gt;\">in read</thread>"))
        #expect(talk.ask("T11") == "OK" && talk.ask("T13") == "E03" && talk.ask("T") == "E16")
        #expect(
            talk.ask("Hg12") == "OK" && talk.ask("qC") == "QC12" && talk.ask("Hg13") == "E03" && talk.ask("Hgx") == "E16"
                && talk.ask("H") == "E16")
        #expect(talk.ask("Hgp1.11") == "OK" && talk.ask("qC") == "QC11" && talk.ask("Hg0") == "OK" && talk.ask("Hc-1") == "OK")
    }

    @Test func registers() {
        let talk = Conversation()
        #expect(talk.ask("g") == "0100000000000000" + "0010000000000000" + "03000000")
        #expect(talk.ask("p2") == "03000000" && talk.ask("p3") == "E0e" && talk.ask("p") == "E16")
        #expect(talk.ask("P1=8877665544332211") == "OK" && talk.target.registers[first]![1] == 0x1122_3344_5566_7788)
        #expect(
            talk.ask("P1=88") == "E16" && talk.ask("Pff=8877665544332211") == "E0e" && talk.ask("P1") == "E16"
                && talk.ask("P1=8z") == "E16")
        #expect(talk.ask("Hg12") == "OK")
        #expect(
            talk.ask("Gaa00000000000000xxxxxxxxxxxxxxxx0b000000") == "OK"
                && talk.target.registers[second]! == [0xaa, 0x2000, 0xb])
        #expect(talk.ask("Gbb00000000000000") == "OK" && talk.target.registers[second]! == [0xbb, 0x2000, 0xb])
        #expect(talk.ask("Gbb0000") == "E16")
        talk.target.registers[second] = [1]
        #expect(talk.ask("g") == "0100000000000000" + String(repeating: "x", count: 24))
    }

    @Test func memory() {
        let talk = Conversation()
        #expect(talk.ask("m1000,4") == "00010203" && talk.ask("m10fe,10") == "feff", "what can be read is told")
        #expect(
            talk.ask("mfff,4") == "E0e" && talk.ask("m1000,0") == "OK" && talk.ask("m1000") == "E16" && talk.ask("m,") == "E16")
        #expect(talk.ask("mffffffffffffffff,ffffffffffffffff") == "E16")
        #expect(talk.ask("x1061,2") == "bab")
        #expect(talk.ask("M1000,2:beef") == "OK" && talk.target.memory[0 ..< 3] == [0xbe, 0xef, 2])
        #expect(talk.ask("M1000,3:beef") == "E16" && talk.ask("Mfff,2:beef") == "E0e" && talk.ask("M1000,2:bex") == "E16")
        #expect(talk.ask("X1000,0:") == "OK")
        #expect(talk.say(Array("X1004,4:".utf8) + Array("#$}*".utf8)) == ["OK"])
        #expect(talk.target.memory[4 ..< 8] == Array("#$}*".utf8)[...])
        // CRC-32 of "#$}*" as GDB computes it, checked bit by bit here.
        var sum: UInt32 = 0xffff_ffff
        for byte in Array("#$}*".utf8) {
            for bit in (0 ..< 8).reversed() {
                let feedback = (sum >> 31) ^ UInt32(byte >> UInt8(bit) & 1)
                sum = sum << 1 ^ (feedback == 1 ? 0x04c1_1db7 : 0)
            }
        }
        #expect(talk.ask("qCRC:1004,4") == "C" + String(sum, radix: 16) && talk.ask("qCRC:0,4") == "E0e")
    }

    @Test func points() {
        let talk = Conversation()
        #expect(
            talk.ask("Z0,1234,2") == "OK" && talk.target.points == [DebugPoint(.softwareBreakpoint, at: 0x1234, byteCount: 2)])
        #expect(
            talk.ask("Z0,10,2") == "E0e" && talk.ask("Z4,1234,2") == "" && talk.ask("Z9,1234,2") == ""
                && talk.ask("Z0,1234") == "E16")
        #expect(
            talk.ask("Z2,2000,8;X3,220027") == "OK" && talk.ask("z2,2000,8") == "OK" && talk.ask("z0,1234,2") == "OK"
                && talk.ask("z0,1234,2") == "E0e")
        #expect(talk.target.points.isEmpty)
    }

    @Test func resumingAndStopping() {
        let talk = Conversation()
        #expect(talk.ask("?") == "T05thread:11;1:0010000000000000;")
        #expect(talk.say("vCont;s:12;c").isEmpty && talk.session.isRunning)
        #expect(talk.target.plans.last == ResumePlan([(second, .step(.none)), (nil, .go(.none))]))
        #expect(
            talk.target.plans.last?.action(for: first) == .go(.none)
                && talk.target.plans.last?.action(for: second) == .step(.none))
        // What is said meanwhile does no harm.
        #expect(
            talk.ask("g") == "E10" && talk.ask("vCont;c") == "E10" && talk.ask("m1000,4") == "E10" && talk.target.plans.count == 1
        )
        talk.session.receive([3])
        #expect(talk.target.log == ["interrupt"])
        talk.session.target(.stopped(DebugStop(thread: second, signal: .interrupt)))
        #expect(talk.replies() == ["T02thread:12;1:0020000000000000;"] && talk.ask("qC") == "QC12")
        talk.session.receive([3])
        talk.session.target(.stopped(DebugStop(thread: second, signal: .trap)))
        #expect(talk.replies().isEmpty && talk.target.log.count == 1, "it stands still already")
    }

    @Test func everyActionIsUnderstood() {
        for (words, rules) in [
            ("vCont;C05:11;t", [(first, ResumeAction.go(.trap)), (nil, .hold)]),
            ("vCont;S0b", [(nil, .step(.segmentationFault))]),
            ("vCont;r10,20:12;c:-1", [(second, .stepRange(start: 0x10, end: 0x20)), (nil, .go(.none))]),
            ("vCont;c:p1.12", [(second, .go(.none))]), ("vCont;c:0", [(first, .go(.none))]),
            ("c", [(first, .go(.none)), (nil, .go(.none))]), ("s", [(first, .step(.none)), (nil, .go(.none))]),
            ("C1e", [(first, .go(GDBSignal(rawValue: 30))), (nil, .go(.none))]),
            ("S05;2000", [(first, .step(.trap)), (nil, .go(.none))]),
        ] as [(String, [(DebugThreadID?, ResumeAction)])] {
            let talk = Conversation()
            #expect(talk.say(words).isEmpty, "\(words)")
            #expect(talk.target.plans == [ResumePlan(rules.map { (thread: $0.0, action: $0.1) })], "\(words)")
            if words.hasPrefix("S05") { #expect(talk.target.registers[first]![1] == 0x2000) }
        }
        for words in [
            "vCont;", "vCont;q", "vCont;c:", "vCont;c:x", "vCont;C", "vCont;Cfff", "vCont;r10", "vCont;t", "vCont;c:99", "C",
            "cx", "vCont;c:11x",
        ] {
            let talk = Conversation()
            #expect(talk.ask(words) == "E16", "\(words)")
            #expect(talk.target.plans.isEmpty && !talk.session.isRunning, "\(words)")
        }
    }

    @Test func stopCauses() {
        let talk = Conversation()
        func told(_ cause: DebugStopCause) -> String {
            _ = talk.say("vCont;c")
            talk.session.target(.stopped(DebugStop(thread: first, signal: .trap, cause: cause)))
            return talk.replies().first.map { String($0.dropFirst("T05thread:11;".count).dropLast("1:0010000000000000;".count)) }
                ?? ""
        }
        #expect(told(.softwareBreakpoint) == "" && told(.executed(path: "/p")) == "", "not to those who do not know")
        _ = talk.say("qSupported:swbreak+;hwbreak+;exec-events+")
        #expect(told(.softwareBreakpoint) == "swbreak:;" && told(.hardwareBreakpoint) == "hwbreak:;")
        #expect(
            told(.watchpoint(.writeWatchpoint, address: 0x20)) == "watch:20;"
                && told(.watchpoint(.readWatchpoint, address: 1)) == "rwatch:1;")
        #expect(told(.watchpoint(.accessWatchpoint, address: 1)) == "awatch:1;")
        #expect(told(.systemCallEntry(64)) == "syscall_entry:40;" && told(.systemCallReturn(64)) == "syscall_return:40;")
        #expect(told(.executed(path: "/p")) == "exec:2f70;")
    }

    @Test func endings() {
        for (event, reply) in [(DebugEvent.exited(status: 7), "W07"), (.killed(.kill), "X09")] {
            let talk = Conversation()
            _ = talk.say("vCont;c")
            talk.session.target(event)
            #expect(talk.replies() == [reply] && talk.session.isOver)
            talk.session.connectionLost()
            #expect(talk.target.log.isEmpty, "nothing is left to detach from")
        }
        let detached = Conversation()
        #expect(detached.ask("D") == "OK" && detached.session.isOver && detached.target.log == ["detach"])
        #expect(detached.say("g").isEmpty)
        let killed = Conversation()
        #expect(killed.ask("vKill;1") == "OK" && killed.session.isOver && killed.session.endsTarget)
        let silent = Conversation()
        _ = silent.say("vCont;c")
        #expect(silent.say("k").isEmpty && silent.session.endsTarget)
        let lost = Conversation()
        lost.session.connectionLost()
        #expect(lost.target.log == ["detach"] && !lost.session.endsTarget)
        let alone = Conversation()
        _ = alone.say("qSupported:no-resumed+")
        _ = alone.say("vCont;c:12")
        alone.session.target(.nothingRuns)
        #expect(alone.replies() == ["N"] && !alone.session.isRunning)
        let words = Conversation()
        _ = words.say("vCont;c")
        words.session.target(.message("hi"))
        #expect(words.replies() == ["O6869"] && words.session.isRunning)
    }

    @Test func settings() {
        let talk = Conversation()
        #expect(
            talk.ask("QPassSignals:e;14") == "OK" && talk.target.passed == [GDBSignal(rawValue: 14), GDBSignal(rawValue: 0x14)])
        #expect(
            talk.ask("QPassSignals:x") == "E16" && talk.ask("QProgramSignals:e;14") == "OK" && talk.ask("QPassSignals:") == "OK"
                && talk.target.passed.isEmpty)
        #expect(talk.ask("QCatchSyscalls:1;40;5d") == "OK" && talk.target.caught == .some([64, 93]))
        #expect(
            talk.ask("QCatchSyscalls:1") == "OK" && talk.target.caught == .all && talk.ask("QCatchSyscalls:0") == "OK"
                && talk.target.caught == .none)
        #expect(talk.ask("QCatchSyscalls:2") == "E16" && talk.ask("QCatchSyscalls:1;x") == "E16")
        #expect(talk.ask("qRcmd," + Hexadecimal.encode("hello   there")) == Hexadecimal.encode("answer\n"))
        #expect(
            talk.ask("qRcmd," + Hexadecimal.encode("quiet")) == "OK" && talk.ask("qRcmd," + Hexadecimal.encode("what")) == ""
                && talk.ask("qRcmd,6") == "E16")
    }

    @Test func anAgreementIsTakenOver() {
        let talk = Conversation()
        _ = talk.say("qSupported:swbreak+;exec-events+")
        _ = talk.say("QPassSignals:e;14")
        _ = talk.say("QCatchSyscalls:1;40")
        let target = FakeTarget()
        let next = DebugSession(target: target, stop: nil)
        next.adopt(agreement: talk.session.agreement)
        #expect(
            next.features == talk.session.features && target.passed == talk.target.passed && target.caught == .some([64])
                && next.isRunning)
        next.target(.stopped(DebugStop(thread: first, signal: .trap, cause: .executed(path: "/p"))))
        #expect(String(decoding: next.takeOutput(), as: UTF8.self).hasPrefix("$T05thread:11;exec:2f70;"))
        for broken in ["", "...", "f", "fzz.p-.-c", "c", "ffffffffffffffffffffffff", "x9"] {
            DebugSession(target: FakeTarget(), stop: nil).adopt(agreement: broken)
        }
    }

    @Test func files() throws {
        let talk = Conversation()
        let path = "/tmp/mynah-test-\(getpid())-remote"
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        #expect(write(descriptor, "content*", 8) == 8)
        close(descriptor)
        let link = path + "-link", pipe = path + "-pipe"
        symlink("target", link)
        mkfifo(pipe, 0o600)
        defer { unlink(path); unlink(link); unlink(pipe) }
        talk.target.files = ["/f": path, "/missing": path + "?", "/link": link, "/pipe": pipe]
        let hex = { (text: String) in Hexadecimal.encode(text) }
        #expect(talk.ask("vFile:setfs:0") == "F0")
        #expect(talk.ask("vFile:open:\(hex("/f")),0,0") == "F1")
        #expect(
            talk.ask("vFile:pread:1,100,0") == "F8;content*" && talk.ask("vFile:pread:1,3,4") == "F3;ent"
                && talk.ask("vFile:pread:1,3,99") == "F0;")
        let status = talk.say("vFile:fstat:1")
        #expect(status.first?.hasPrefix("F40;") == true)
        let target = talk.session.files.status(1)!
        let wire = RemoteFiles.wireForm(target)
        #expect(wire.count == 64 && wire[28 ..< 36] == [0, 0, 0, 0, 0, 0, 0, 8])
        #expect(talk.ask("vFile:readlink:\(hex("/link"))") == "F6;target")
        #expect(
            talk.ask("vFile:close:1") == "F0" && talk.ask("vFile:close:1") == "F-1,9" && talk.ask("vFile:pread:1,1,0") == "F-1,9")
        #expect(
            talk.ask("vFile:open:\(hex("/missing")),0,0") == "F-1,2" && talk.ask("vFile:open:\(hex("/unknown")),0,0") == "F-1,2")
        #expect(talk.ask("vFile:open:\(hex("/f")),1,1ff") == "F-1,1e" && talk.ask("vFile:unlink:\(hex("/f"))") == "F-1,1e")
        #expect(talk.ask("vFile:open:\(hex("/pipe")),0,0") == "F-1,d", "a pipe must not make the session wait")
        #expect(
            talk.ask("vFile:open:2f66,0") == "F-1,16" && talk.ask("vFile:pread:x") == "F-1,16"
                && talk.ask("vFile:nonsense:") == "")
    }

    /// Packets from pieces of right ones: whatever comes, the session answers, and its target is asked nothing impossible.
    @Test(arguments: 0 ..< 20) func nonsenseIsAnswered(round: Int) {
        let talk = Conversation()
        let pieces = [
            "vCont;", "vFile:", "open:", "pread:", "qXfer:", "features:read:", "target.xml", "siginfo:write::", "m", "M", "X",
            "G", "g", "P", "p", "H",
            "T", "Z0,", "z2,", "c", "s", "C", "S", "?", "k", "D", "q", "Q", "qRcmd,", "QPassSignals:", "QCatchSyscalls:1;",
            "qThreadExtraInfo,", "qCRC:",
            "1000", "ffffffffffffffff", "-1", "0", "p1.11", ",", ":", ";", "=", ".", "#", "}", "\u{3}", "11", "deadbeef", "r",
            "t", "qSupported:", "x",
        ]
        for _ in 0 ..< 400 {
            let body = (0 ..< Int.random(in: 0 ... 6)).map { _ in pieces.randomElement()! }.joined()
            talk.session.receive(PacketEncoder.packet(Array(body.utf8)))
            _ = talk.session.takeOutput()
            if Int.random(in: 0 ..< 4) == 0 { talk.session.receive((0 ..< 50).map { _ in UInt8.random(in: 0 ... 255) }) }
            if talk.session.isOver { break }
            if talk.session.isRunning { talk.session.target(.stopped(DebugStop(thread: first, signal: .trap))) }
        }
        guard !talk.session.isOver else { return }
        // End a packet that was left open.
        talk.session.receive(Array("#00".utf8))
        _ = talk.session.takeOutput()
        #expect(talk.ask("T11") == "OK")
    }
}
