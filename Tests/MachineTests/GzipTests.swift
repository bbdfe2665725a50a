// gzip data as other tools made it, and the same damaged in every way that fits.

import TestSupport
import Testing

@testable import DeviceModel
@testable import Machine

@Suite struct GzipTests {
    /// 3162 bytes, compressed with codes of their own.
    private static let words = base64(
        """
        H4sIAAAAAAACA11WW24cMQz7n1PMEca2/DpOkEzboE0aLIICvX29IqnZ9Muza1mWKIryy/nn9fmstr/4R7b98/b0Udv+7Xx/PmfF2ufmax77x9P30zL+LmP/fH07b+3Q8bn9PG/v569p\
        +9v59vv2dzaYyPRw/21y2wruk7X/yo3ukta23a89aLWiwUfr/Cf1DZZt8J+W4ap6wHXsP55un+VAEOPQPffNousGs05cO/at7UiKx9rY7s5ahTObzJBWyRhdVla5Mrqe5akDz2R+wwr2\
        viSk35MHO1oEC+zNQRiT0S5E6VW4pOHnB1JfYf8XxyobPqqOjnp9oKLZ766ddVx44qN0ACmsSjCGG4loyGPSHRkbCUHZ5Q/bVglXkuva3XShcQ9l+b8vvW6qDbOCVfVaLFu4rYh/Jsaf\
        0uaQbB7DYqU7GTI3YDoJ8UrKkeeh6ZnlhJsXyb1WOpuzMhD8E84qDSa4l9UcNQet/JYNzBd6d2YJFPKUHg4gAPapoWrxvWnkVlHKNZOlF09Y/h79ExEhBtGyKaVBQmZH11hBZd47GmCq\
        snA7ChsBAXSma0c0BrpOl0SjkO/Iz+SuwryTmUNpVP6RDnGUmlXhRgzL/dIiIiOESIOcsFaRvArMlQprq+KqMtF+wxyE4H0YOHKrnx6DN97YkONAxkZNXCLICjEeqAL438B/CmUKR8Su\
        D1XbjQVeSuAeazCY+ZjbA5WW8DmjAtkQOvT0TCo4eDCl2kOUNqHR4SqjVSYTi2ZNLLHaDujocAPNJb82JZfUIiyizewRxRYffl1Y6J6GudGp/uycySjXLrUD1wq7QhklnY1TwkQ79h1J\
        C0DV8+mIkXWpL7ckw01bhY3VWeJOlWLRFFhln03oUeg+2dvkhebLW/CeVf6i1BkyVWQO4pAgdt3tPRUqrVFMHnZh2a+u5Lz1ytYvmmkRgl1zxWNRf3DUlV099fgMoBK0Ix4lpKkQLZwx\
        g2rapabcLlsooIYODCEZ1/TAQdMot8IHwvalP6mOMQlshGzzQjVODTqwxCxlBXtmwMFizBmKQGGGeed8Ktc7yfMVZTWjRnQYuGLkiIRGQ1sUSWhbAs4mnhy8AEdkjecEVcMofBe/pR5z\
        SrHRG0JPj0mLN4Vdb8N7vXIonSen10oM0AnZorbFa01jpGsCCo0M9pH3Bt5rU+JLHc+CxsgByXnapO90DjlIQ+MXL2Btd71/Vgs8QKsHNY910xOHksDd6iE2vReXDjNGxMSyN6kz5wPQ\
        TleA0i2+n8AdaSLuSACladAVECYIW3C66GkwSUXM9iC4GqrG7VON/Q955UIyWgwAAA==
        """)
    /// Compressed with the codes of the format.
    private static let fixed = base64("H4sIAAAAAAACA0vLrEhNUUjOT0kttlJIJBIoJAEA3GlpSDcAAAA=")

    /// A stored block with a file name in the header.
    private static func stored(_ content: [UInt8]) -> [UInt8] {
        let number = { (value: Int, count: Int) in (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
        return [0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3] + Array("name\0".utf8) + [1] + number(content.count, 2)
            + number(~content.count, 2)
            + content + number(Int(Gzip.crc32(content[...])), 4) + number(content.count, 4)
    }

    private func error(_ bytes: [UInt8], limit: Int = 1 << 20) -> (any Error)? {
        do { _ = try Gzip.unpack(bytes, limit: limit) } catch { return error }
        return nil
    }

    @Test func codesOfItsOwn() throws {
        let output = try Gzip.unpack(Self.words, limit: 1 << 20)
        #expect(output.count == 3162)
        #expect(Gzip.crc32(output[...]) == 843_244_921)
        #expect(output.starts(with: Array("device54 device24 trap56 fence95 fence79\nfence28".utf8)))
    }

    @Test func codesOfTheFormat() throws {
        let output = try Gzip.unpack(Self.fixed, limit: 1 << 20)
        #expect(output == Array("fixed codes: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa b".utf8))
    }

    @Test func storedAndSeveralMembersAndPadding() throws {
        let content = Array("stored".utf8)
        #expect(try Gzip.unpack(Self.stored(content), limit: 100) == content)
        #expect(try Gzip.unpack(Self.stored(content) + Self.stored(content) + [0, 0, 0], limit: 100) == content + content)
        #expect(try Gzip.unpack(Self.stored([]), limit: 0) == [])
    }

    @Test func theLimitHolds() {
        #expect(error(Self.words, limit: 3161) as? DeflateError == .tooLarge(limit: 3161))
        #expect(error(Self.words, limit: 3162) == nil)
        #expect(error(Self.stored([1, 2, 3]), limit: 2) as? DeflateError == .tooLarge(limit: 2))
    }

    @Test func everyTruncationIsNoticed() {
        for count in 0..<Self.words.count { #expect(error(Array(Self.words.prefix(count))) != nil) }
        for count in 3..<Self.fixed.count {
            #expect(error(Array(Self.fixed.prefix(count))).map { "\($0)".contains("cut off") } == true)
        }
    }

    @Test func damageIsNoticedOrHarmless() {
        var random = SplitMix(seed: 7)
        var noticed = 0
        for _ in 0..<400 {
            var bytes = Self.words
            let index = 10 + random.below(bytes.count - 10)
            bytes[index] ^= UInt8(1 << random.below(8))
            if error(bytes) != nil { noticed += 1 }
        }
        #expect(noticed == 400) // all bits behind the header count, and the checksum sees every single flip
    }
}

/// RFC 4648.
func base64(_ text: String) -> [UInt8] {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var bytes: [UInt8] = []
    var bits: UInt32 = 0, count = 0
    for character in text.utf8 {
        guard let value = alphabet.firstIndex(of: character) else { continue }
        bits = bits << 6 | UInt32(value)
        count += 6
        if count >= 8 {
            count -= 8
            bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
        }
    }
    return bytes
}
