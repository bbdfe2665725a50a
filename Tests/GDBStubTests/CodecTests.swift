// Packets as bytes: whole, cut, damaged, escaped, shortened.

import Testing

@testable import GDBStub

@Suite struct CodecTests {
    private func decode(_ text: String, expandsRuns: Bool = false) -> [PacketEvent] {
        var decoder = PacketDecoder(expandsRuns: expandsRuns)
        return decoder.decode(Array(text.utf8))
    }

    private func packet(_ text: String) -> PacketEvent { .packet(Array(text.utf8)) }

    @Test func framesAndChecksums() {
        #expect(PacketEncoder.packet(Array("OK".utf8)) == Array("$OK#9a".utf8))
        #expect(PacketEncoder.packet([UInt8]()) == Array("$#00".utf8))
        #expect(decode("$OK#9a") == [packet("OK")])
        #expect(decode("$OK#9A+") == [packet("OK"), .acknowledged])
        #expect(decode("$#00") == [packet("")])
        #expect(decode("$OK#9b") == [.damaged])
        #expect(decode("$OK#zz") == [.damaged])
        #expect(decode("+-\u{3}") == [.acknowledged, .rejected, .interrupt])
    }

    @Test func whatLiesBetweenPacketsIsSkipped() {
        #expect(decode("noise#12$OK#9amore") == [packet("OK")])
        // A packet whose end was lost gives way to the next.
        #expect(decode("$half of a pack$OK#9a") == [packet("OK")])
        // Inside of a packet the byte 3 is data.
        #expect(decode("$\u{3}#03") == [.packet([3])])
    }

    @Test func everyCutGivesTheSame() {
        let bytes = Array("+$m10,4#5b\u{3}$OK#9a-".utf8)
        var whole = PacketDecoder()
        let expected = whole.decode(bytes)
        #expect(expected.count == 5)
        for cut in 0 ... bytes.count {
            var decoder = PacketDecoder()
            #expect(decoder.decode(bytes[..<cut]) + decoder.decode(bytes[cut...]) == expected)
        }
        var decoder = PacketDecoder()
        #expect(bytes.flatMap { decoder.decode([$0]) } == expected)
    }

    @Test func escapes() {
        let special: [UInt8] = Array("a#b$c}d*e".utf8)
        let wire = PacketEncoder.packet(special)
        #expect(Array(wire.dropFirst().dropLast(3)) == Array("a}\u{3}b}\u{4}c}]d}\ne".utf8))
        var decoder = PacketDecoder()
        #expect(decoder.decode(wire) == [.packet(special)])
        // An escape with nothing behind it.
        #expect(decode("$a}#de") == [.damaged])
    }

    @Test func runs() {
        #expect(PacketEncoder.packet(Array("0000".utf8), runs: true) == Array("$0* #7a".utf8))
        #expect(decode("$0* #7a", expandsRuns: true) == [packet("0000")])
        // To a stub, which gets none, it is a star.
        #expect(decode("$0* #7a") == [packet("0* ")])
        for count in 0 ..< 300 {
            let body = [UInt8](repeating: UInt8(ascii: "x"), count: count) + [7]
            let wire = PacketEncoder.packet(body, runs: true)
            #expect(!wire.dropFirst().dropLast(3).contains { $0 == UInt8(ascii: "#") || $0 == UInt8(ascii: "$") })
            #expect(wire.count <= 5 + count && (count < 100 || wire.count < 20))
            var decoder = PacketDecoder(expandsRuns: true)
            #expect(decoder.decode(wire) == [.packet(body)])
        }
        for broken in ["$*!#4b", "$0*#5a", "$0*\u{1c}#76"] {
            #expect(decode(broken, expandsRuns: true) == [.damaged], "\(broken)")
        }
    }

    @Test func randomBodiesSurvive() {
        var random = SystemRandomNumberGenerator()
        for _ in 0 ..< 500 {
            let alphabet: [UInt8] = Bool.random() ? Array("$#}*ab".utf8) : Array(0 ... 255)
            let body = (0 ..< Int.random(in: 0 ... 400)).map { _ in alphabet.randomElement(using: &random)! }
            for runs in [false, true] {
                var decoder = PacketDecoder(expandsRuns: true)
                #expect(decoder.decode(PacketEncoder.packet(body, runs: runs)) == [.packet(body)])
            }
        }
    }

    @Test func tooLongIsDamagedAndTheNextIsRead() {
        var decoder = PacketDecoder(limit: 8)
        let long = PacketEncoder.packet(Array("123456789".utf8)), short = PacketEncoder.packet(Array("12345678".utf8))
        #expect(decoder.decode(long + short) == [.damaged, packet("12345678")])
        var bomb = PacketDecoder(limit: 1000, expandsRuns: true)
        let body = [UInt8(ascii: "0")] + (0 ..< 100).flatMap { _ in [UInt8(ascii: "*"), 126] }
        let sum = body.reduce(0 as UInt8, &+)
        #expect(bomb.decode([UInt8(ascii: "$")] + body + [UInt8(ascii: "#")] + Hexadecimal.encode([sum])) == [.damaged])
    }

    @Test func hexadecimal() {
        #expect(Hexadecimal.encode([0, 0x9f, 0xff]) == Array("009fff".utf8))
        #expect(Hexadecimal.decode(Array("009fFF".utf8)) == [0, 0x9f, 0xff])
        #expect(Hexadecimal.decode(Array("0".utf8)) == nil)
        #expect(Hexadecimal.decode(Array("0g".utf8)) == nil)
    }

    @Test func numbers() {
        var reader = PacketReader(Array("ffffffffffffffff,10:rest".utf8))
        #expect(reader.number(before: ",") == .max)
        #expect(reader.number(before: ":") == 16)
        #expect(reader.skip("re") && !reader.skip("stx") && reader.skip("st") && reader.isAtEnd)
        var long = PacketReader(Array("10000000000000000".utf8))
        #expect(long.number() == nil)
        var zeros = PacketReader(Array("00000000000000000001".utf8))
        #expect(zeros.lastNumber() == 1)
        var none = PacketReader(Array(",".utf8))
        #expect(none.number(before: ",") == nil)
        var huge = PacketReader(Array("ffffffffffffffff".utf8))
        #expect(huge.lastSize() == nil)
    }

    @Test func signalsThereAndBack() {
        for number in Int32(0) ... 64 where number != 16 {
            let signal = GDBSignal(linux: number)
            #expect(signal.linux == number, "\(number)")
        }
        #expect(
            GDBSignal(linux: 7).rawValue == 10 && GDBSignal(linux: 10).rawValue == 30
                && GDBSignal(linux: 11) == .segmentationFault)
        #expect(GDBSignal(linux: 34).rawValue == 46 && GDBSignal(linux: 16) == .unknown && GDBSignal(linux: 999) == .unknown)
        #expect(GDBSignal(rawValue: 200).linux == nil)
    }

    @Test func endpoints() throws {
        #expect(try DebugEndpoint("1234") == .port(host: "", number: 1234))
        #expect(try DebugEndpoint(":0") == .port(host: "", number: 0))
        #expect(try DebugEndpoint("127.0.0.1:99") == .port(host: "127.0.0.1", number: 99))
        #expect(try DebugEndpoint("/tmp/a:1") == .path("/tmp/a:1"))
        #expect(try DebugEndpoint("socket") == .path("socket"))
        #expect(try DebugEndpoint("unix:s") == .path("s") && DebugEndpoint("unix:/a:1") == .path("/a:1"))
        #expect(
            try DebugEndpoint("tcp::12") == .port(host: "", number: 12) && DebugEndpoint("tcp:12") == .port(host: "", number: 12))
        #expect(try DebugEndpoint("inherited:7:f0") == .inherited(descriptor: 7, state: "f0"))
        for wrong in ["", "65536", "host:", "host:x", "inherited:x:", "inherited:1"] {
            #expect(throws: DebugServerError.self, "\(wrong)") { try DebugEndpoint(wrong) }
        }
        for text in ["1234", "localhost:5", "/a/b", "inherited:7:f0.p1-2"] { #expect(try DebugEndpoint(text).text == text) }
    }
}
