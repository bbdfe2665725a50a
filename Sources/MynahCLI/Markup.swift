// Elements of SVG and HTML as text.

/// An element and a line's end: `<name attribute="value">content</name>`, or `<name …/>` without content.
/// - Parameters:
///   - attributes: values are escaped; numbers are written with one digit behind the point at most. An empty value leaves its attribute out.
///   - content: markup, which is not escaped.
func element(_ name: String, _ attributes: KeyValuePairs<String, any CustomStringConvertible> = [:], _ content: String? = nil) -> String {
    var text = "<" + name
    for (key, value) in attributes {
        let written = (value as? Double).map(tenths) ?? escaped(value.description)
        if !written.isEmpty { text += " \(key)=\"\(written)\"" }
    }
    return text + (content.map { ">\($0)</\(name)>\n" } ?? "/>\n")
}

/// Text that means itself, in markup and in the quotes of attributes.
func escaped(_ text: String) -> String {
    text.map { $0 == "<" ? "&lt;" : $0 == ">" ? "&gt;" : $0 == "&" ? "&amp;" : $0 == "\"" ? "&quot;" : String($0) }.joined()
}

/// 12, 12.5.
func tenths(_ value: Double) -> String {
    let text = fixed(value, 1)
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
}
