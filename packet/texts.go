package packet

import "fmt"

// Rules that reading itself enforces; stable across releases. Rules of the .proto
// files are reported by their own ids.
const (
	ruleSyntax       = "syntax"
	ruleEncoding     = "encoding"
	ruleCharacter    = "character"
	ruleDoctype      = "xml.doctype"
	ruleInstruction  = "xml.instruction"
	ruleAttribute    = "xml.attribute"
	ruleNamespace    = "xml.namespace"
	rulePrefix       = "xml.prefix"
	ruleMixed        = "xml.mixed"
	ruleOrder        = "xml.order"
	ruleDuplicate    = "json.duplicate"
	ruleWrapper      = "json.wrapper"
	ruleType         = "type"
	ruleSingle       = "json.single"
	ruleRoot         = "root"
	ruleDepth        = "limit.depth"
	ruleElements     = "limit.elements"
	ruleAttributes   = "limit.attributes"
	ruleText         = "limit.text"
	ruleSize         = "limit.size"
	ruleFindings     = "limit.findings"
	ruleAlias        = "name.alias"
	ruleCase         = "name.case"
	ruleUnknown      = "unknown"
	ruleRepeated     = "repeated"
	ruleRequired     = "required"
	ruleAbsent       = "absent"
	ruleSpace        = "whitespace"
	ruleInteger      = "int"
	ruleRange        = "int.range"
	ruleBoolean      = "bool"
	ruleDecimal      = "decimal"
	ruleDatetime     = "datetime"
	ruleBase64       = "base64"
	ruleOrganisation = "organisation"
	ruleProtobuf     = "protobuf.unknown"
)

const (
	maxDepth      = 32
	maxElements   = 10_000
	maxAttributes = 16
)

func textAlias(official string) text {
	return text{"is another spelling of " + official, "là cách viết khác của " + official}
}

func textCase(official string) text {
	return text{"differs from " + official + " in capital letters", "khác " + official + " về chữ hoa, chữ thường"}
}

func textRepeated(name string) text {
	return text{name + " may appear only once here", name + " chỉ được xuất hiện một lần tại đây"}
}

func textUnknown(parent string) text {
	return text{"is not an element of " + parent + "; it is kept and handed on", "không phải thành phần của " + parent + "; được giữ nguyên và chuyển tiếp"}
}

func textIgnored(parent string) text {
	return text{"is not an element of " + parent + "; it is ignored", "không phải thành phần của " + parent + "; bị bỏ qua"}
}

func textRequired(f *field) text {
	if f.Nullable {
		return text{"is required; an empty element means no date", "bắt buộc phải có; phần tử rỗng nghĩa là chưa có ngày"}
	}
	if f.kind == kindText {
		return text{"is required", "bắt buộc phải có"}
	}
	t := textType(f)
	return text{"is required: " + t.en, "bắt buộc phải có: " + t.vi}
}

// textType says what is allowed in a field.
func textType(f *field) text {
	switch f.kind {
	case kindInteger:
		return textInteger()
	case kindBoolean:
		return textBoolean()
	case kindDatetime:
		return textDatetime()
	case kindDecimal:
		return textDecimal()
	case kindBase64:
		return text{"Base64 text is expected", "phải là văn bản Base64"}
	case kindOrganisation:
		return textOrganisation()
	case kindPart:
		return text{f.part.name + " with its elements is expected", "phải là " + f.part.name + " với các thành phần của nó"}
	default:
		return text{"text is expected", "phải là văn bản"}
	}
}

// textSpelling says how a value that was understood is rightly spelt.
func textSpelling(f *field) text {
	t := textType(f)
	return text{"was understood, but is not spelt as the standard says: " + t.en, "đã hiểu được, nhưng không viết đúng quy định: " + t.vi}
}

func textBase64(wrong string) text {
	switch wrong {
	case "alphabet":
		return text{"holds a character that Base64 does not have; allowed are A-Z a-z 0-9 + / = and white space",
			"có ký tự không thuộc Base64; cho phép A-Z a-z 0-9 + / = và khoảng trắng"}
	case "bits":
		return text{"ends in bits that belong to no byte; the Base64 text is damaged", "phần cuối không tạo thành byte; văn bản Base64 bị hỏng"}
	default:
		return text{"is cut off or wrongly padded; Base64 comes in groups of four characters, the last filled up with =",
			"bị cắt cụt hoặc đệm sai; Base64 gồm các nhóm bốn ký tự, nhóm cuối được đệm bằng ="}
	}
}

func textDuplicate(name string) text {
	return text{"member " + name + " appears twice in one object", "thành phần " + name + " xuất hiện hai lần trong một đối tượng"}
}

func textRoot(want string) text {
	return text{"the root must be " + want, "phần tử gốc phải là " + want}
}

func textTooDeep() text {
	return text{fmt.Sprintf("elements are nested more than %d deep", maxDepth), fmt.Sprintf("các phần tử lồng nhau quá %d mức", maxDepth)}
}

func textTooMany() text {
	return text{fmt.Sprintf("there are more than %d elements", maxElements), fmt.Sprintf("có quá %d phần tử", maxElements)}
}

func textTooManyAttributes() text {
	return text{fmt.Sprintf("an element has more than %d attributes; the standard has none", maxAttributes),
		fmt.Sprintf("một phần tử có quá %d thuộc tính; chuẩn không dùng thuộc tính", maxAttributes)}
}

func textTooLong(limit int) text {
	return text{fmt.Sprintf("the text is longer than %d bytes", limit), fmt.Sprintf("nội dung dài quá %d byte", limit)}
}

func textSize(size, limit int) text {
	return text{fmt.Sprintf("the packet has %d bytes; at most %d are allowed", size, limit),
		fmt.Sprintf("gói tin có %d byte; cho phép tối đa %d byte", size, limit)}
}

func textIllegal(char rune) text {
	return text{fmt.Sprintf("character U+%04X is not allowed in XML 1.0", char), fmt.Sprintf("ký tự U+%04X không được phép trong XML 1.0", char)}
}

func textDeclared(encoding string) text {
	return text{fmt.Sprintf("encoding %q is declared; allowed are UTF-8, and UTF-16 with a byte order mark", cut(encoding)),
		fmt.Sprintf("khai báo mã hóa %q; cho phép UTF-8, hoặc UTF-16 có dấu thứ tự byte (BOM)", cut(encoding))}
}

func textDoctype() text {
	return text{"a DOCTYPE is not allowed", "không cho phép DOCTYPE"}
}

func textInstruction() text {
	return text{"processing instructions are not allowed, only the XML declaration at the very start", "không cho phép chỉ thị xử lý; chỉ cho phép khai báo XML ở ngay đầu"}
}

func textNamespace() text {
	return text{"the standard has no namespaces; the declaration is ignored", "chuẩn không dùng không gian tên; khai báo bị bỏ qua"}
}

func textAttribute() text {
	return text{"the standard has no attributes; this one is ignored", "chuẩn không dùng thuộc tính; thuộc tính này bị bỏ qua"}
}

func textPrefix() text {
	return text{"the standard has no prefixes; the name after the colon was read", "chuẩn không dùng tiền tố; đã đọc phần tên sau dấu hai chấm"}
}

func textMixed() text {
	return text{"text stands between elements where only elements are allowed", "có văn bản xen giữa các phần tử, nơi chỉ cho phép phần tử"}
}

func textOrder() text {
	return text{"stands after an element that the standard puts behind it", "đứng sau phần tử mà chuẩn quy định phải đứng sau nó"}
}

func textNone() text {
	return text{"is empty; it was read as none", "rỗng; được hiểu là không có"}
}

func textAbsent() text {
	return text{"holds no value; it was read as absent", "không có giá trị; được hiểu là không có"}
}

func textEmpty() text {
	return text{"must not be empty", "không được để trống"}
}

func textSpace() text {
	return text{"has white space around the value", "có khoảng trắng thừa quanh giá trị"}
}

func textCharacter() text {
	return text{"holds a character that XML 1.0 does not allow", "có ký tự không được phép trong XML 1.0"}
}

func textInteger() text {
	return text{"a whole number is expected", "phải là số nguyên"}
}

func textRange() text {
	return text{"is out of range: -2147483648 to 2147483647 are allowed", "ngoài phạm vi: cho phép từ -2147483648 đến 2147483647"}
}

func textBoolean() text {
	return text{"true or false is expected (in XML also 1 or 0)", "phải là true hoặc false (trong XML có thể là 1 hoặc 0)"}
}

func textDecimal() text {
	return text{"a decimal number with a point is expected, e.g. 95.5", "phải là số thập phân dùng dấu chấm, ví dụ 95.5"}
}

func textDatetime() text {
	return text{"a date is expected: 2018-10-23T09:15:00.000+07:00 (also read: without offset, 2018-10-23, 20181023091500, 23/10/2018, 23/10/2018 09:15:00)",
		"phải là ngày giờ: 2018-10-23T09:15:00.000+07:00 (cũng đọc được: không có múi giờ, 2018-10-23, 20181023091500, 23/10/2018, 23/10/2018 09:15:00)"}
}

func textYears() text {
	return text{"is out of range: years 0001 to 9999 are allowed", "ngoài phạm vi: cho phép năm từ 0001 đến 9999"}
}

func textOrganisation() text {
	return text{"an organisation code is expected: level1.level2.level3.level4 (G12.18), or with zeros for unused levels level4.level3.level2.level1 (000.00.18.G12)",
		"phải là mã cơ quan: cấp1.cấp2.cấp3.cấp4 (G12.18), hoặc cấp4.cấp3.cấp2.cấp1 với số 0 cho cấp không dùng (000.00.18.G12)"}
}

func textUTF8() text {
	return text{"the bytes are not UTF-8", "các byte không phải UTF-8"}
}

func textUTF16() text {
	return text{"the bytes are not UTF-16", "các byte không phải UTF-16"}
}

func textNoMark() text {
	return text{"UTF-16 needs a byte order mark; UTF-8 needs none", "UTF-16 phải có dấu thứ tự byte (BOM); UTF-8 thì không cần"}
}

func textJSONUTF8() text {
	return text{"JSON has to be UTF-8", "JSON phải dùng mã hóa UTF-8"}
}

func textWrapper() text {
	return text{"the members stand in an object of their own; they belong directly in the outer one", "các thành phần nằm trong một đối tượng riêng; chúng phải nằm trực tiếp trong đối tượng ngoài cùng"}
}

func textSingle() text {
	return text{"an array is expected; the single value was read as one item", "phải là mảng; giá trị đơn được hiểu là một phần tử"}
}

func textNotArray() text {
	return text{"an array is not allowed here", "không cho phép mảng tại đây"}
}

func textObject() text {
	return text{"an object with the members of the packet is expected", "phải là một đối tượng với các thành phần của gói tin"}
}

func textBadUnknown() text {
	return text{"an unknown element needs a name that the standard does not have, and a text of its kind", "phần tử ngoài chuẩn phải có tên không thuộc chuẩn và nội dung đúng kiểu"}
}

func textWire() text {
	return text{"holds Protobuf fields that this version does not know; they are kept in Protobuf and cannot be written in XML or JSON",
		"có trường Protobuf mà phiên bản này không biết; được giữ trong Protobuf và không ghi được ra XML hay JSON"}
}

func textStamp() text {
	return text{"is not a valid time", "không phải thời điểm hợp lệ"}
}

func textMillis() text {
	return text{"is cut to milliseconds", "được cắt đến mili giây"}
}
