// Splits a line of textual IR into words, values (`%7`) and punctuation.

struct Scanner {
    private var tokens: ArraySlice<Substring>
    private let line: Int

    init(_ text: Substring, line: Int) {
        self.line = line
        var tokens: [Substring] = []
        var rest = text
        while let character = rest.first {
            if character.isWhitespace {
                rest = rest.dropFirst()
                continue
            }
            // A minus belongs to a number only where no space follows: `[%1 - 8]` has an operator.
            let startsWord =
                Self.isWord(character) || character == "%" || (character == "-" && rest.dropFirst().first?.isNumber == true)
            let length = startsWord ? 1 + rest.dropFirst().prefix(while: Self.isWord).count : 1
            tokens.append(rest.prefix(length))
            rest = rest.dropFirst(length)
        }
        self.tokens = tokens[...]
    }

    private static func isWord(_ character: Character) -> Bool {
        character.isLetter || character.isNumber || character == "_" || character == "."
    }

    private func failure(_ reason: String) -> ParseError { ParseError(line: line, reason: reason) }

    /// The next token, without taking it.
    var peek: String? { tokens.first.map(String.init) }

    /// Takes the next token when it is `token`.
    mutating func accept(_ token: String) -> Bool {
        guard tokens.first.map({ $0 == token }) == true else { return false }
        tokens = tokens.dropFirst()
        return true
    }

    mutating func expect(_ token: String) throws(ParseError) {
        if !accept(token) { throw failure("expected '\(token)' but found \(peek.map { "'\($0)'" } ?? "the end of the line")") }
    }

    private mutating func next(_ what: String) throws(ParseError) -> String {
        guard let token = tokens.popFirst() else { throw failure("expected \(what) but found the end of the line") }
        return String(token)
    }

    mutating func word() throws(ParseError) -> String {
        let token = try next("a word")
        guard let first = token.first, first.isLetter || first == "_" else {
            throw failure("expected a word but found '\(token)'")
        }
        return token
    }

    mutating func value() throws(ParseError) -> Value {
        let token = try next("a value")
        guard token.hasPrefix("%") else { throw failure("expected a value but found '\(token)'") }
        if token == "%none" { return .none }
        guard let number = UInt32(token.dropFirst()), number < UInt32.max else { throw failure("'\(token)' is not a value") }
        return Value(number)
    }

    /// A decimal number, or an unsigned hexadecimal one after `0x`.
    mutating func number() throws(ParseError) -> Int64 {
        let token = try next("a number")
        if token.hasPrefix("0x"), let bits = UInt64(token.dropFirst(2), radix: 16) { return Int64(bitPattern: bits) }
        if let number = Int64(token) { return number }
        // The magnitude of the smallest displacement.
        if let bits = UInt64(token) { return Int64(bitPattern: bits) }
        throw failure("'\(token)' is not a number")
    }

    mutating func block() throws(ParseError) -> Int {
        let token = try word()
        guard token.hasPrefix("block"), let number = UInt16(token.dropFirst(5)) else {
            throw failure("'\(token)' is not a block")
        }
        return Int(number)
    }
}
