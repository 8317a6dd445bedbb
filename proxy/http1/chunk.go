package http1

import (
	"bytes"
	"math"

	"github.com/sluicegateway/sluice/proxy/message"
)

// Limits of a chunked body.
const (
	// maxExtensions is the most bytes of chunk extensions in one body.
	maxExtensions = 4 << 10
	// overheadBase and overheadRatio bound the bytes of framing: the base, and
	// so many for each byte of data. A chunk of one byte needs five.
	overheadBase  = 4 << 10
	overheadRatio = 16
	// maxSizeDigits is the most digits of a chunk size.
	maxSizeDigits = 16
)

// trailerLimits bounds the trailer fields of one body.
var trailerLimits = Limits{HeaderBytes: 16 << 10, HeaderFields: DefaultLimits.HeaderFields}

// Errors of chunked bodies.
var (
	errChunkSize      = &Error{400, "a chunk size is not 1 to 16 hexadecimal digits (RFC 9112 section 7.1)"}
	errChunkExtension = &Error{400, "a chunk extension is malformed (RFC 9112 section 7.1.1)"}
	errChunkLine      = &Error{400, "a line of chunked framing does not end in CRLF (RFC 9112 section 7.1)"}
	errChunkData      = &Error{400, "the data of a chunk is longer than its size (RFC 9112 section 7.1)"}
	errExtensions     = &Error{400, "the chunk extensions are larger than the limit"}
	errOverhead       = &Error{400, "the chunked framing is too large for its data"}
)

// ChunkDecoder takes the framing off a chunked body (RFC 9112 section 7.1). The
// zero value is ready for use. It holds no data: only trailer fields are copied.
type ChunkDecoder struct {
	state    chunkState
	digits   int
	size     int64 // of the present chunk, then what is left of it
	received int64 // bytes of data
	overhead int64 // bytes of framing
	extended int   // bytes of extensions
	scan     Parser
	raw      []byte // the trailer section
	trailer  message.Header
}

type chunkState uint8

const (
	chunkSize       chunkState = iota
	chunkSpace                 // white space before ";"
	chunkName                  // before an extension's name
	chunkNameRest              // in it
	chunkNameSpace             // between name and "="
	chunkValue                 // before the value
	chunkToken                 // in a value that is a token
	chunkQuoted                // in a quoted string
	chunkQuotedPair            // behind a backslash in it
	chunkQuotedEnd             // behind the closing quote
	chunkLF                    // behind the CR of a size line
	chunkData
	chunkDataCR
	chunkDataLF
	chunkTrailer
	chunkDone
)

// Decode returns the first data in buf, which is a part of buf, and how many
// bytes of buf were used up. Without data all of buf was used up, or the body
// is done; what then follows belongs to the next message. After an error, an
// *Error with the status 400 or 431, the decoder is of no use until Reset.
func (d *ChunkDecoder) Decode(buf []byte) (data []byte, n int, err error) {
	for n < len(buf) && d.state != chunkDone {
		switch d.state {
		case chunkData:
			data = buf[n:][:min(d.size, int64(len(buf)-n))]
			d.take(int64(len(data)))
			return data, n + len(data), nil
		case chunkTrailer:
			used, err := d.takeTrailer(buf[n:])
			n += used
			if err != nil {
				return nil, n, err
			}
		default:
			if err := d.step(buf[n]); err != nil {
				return nil, n, err
			}
			n++
		}
	}
	return nil, n, nil
}

// Done reports whether the body and its trailer section are complete.
func (d *ChunkDecoder) Done() bool { return d.state == chunkDone }

// Trailer returns the trailer fields once the body is done, valid until Reset.
// Fields that must not come in a trailer are left out (RFC 9110 section 6.5.1).
func (d *ChunkDecoder) Trailer() *message.Header { return &d.trailer }

// Reset readies the decoder for another body.
func (d *ChunkDecoder) Reset() {
	d.trailer.Reset()
	*d = ChunkDecoder{raw: d.raw[:0], trailer: d.trailer}
}

// take counts n bytes of data.
func (d *ChunkDecoder) take(n int64) {
	d.received += n
	if d.size -= n; d.size == 0 {
		d.state = chunkDataCR
	}
}

// step takes one byte of framing.
func (d *ChunkDecoder) step(c byte) error {
	d.overhead++
	switch d.state {
	case chunkSize:
		return d.stepSize(c)
	case chunkLF:
		if c != '\n' {
			return errChunkLine
		}
		return d.beginChunk()
	case chunkDataCR:
		if c != '\r' {
			return errChunkData
		}
		d.state = chunkDataLF
	case chunkDataLF:
		if c != '\n' {
			return errChunkLine
		}
		d.state, d.size, d.digits = chunkSize, 0, 0
	default:
		return d.stepExtension(c)
	}
	return nil
}

func (d *ChunkDecoder) stepSize(c byte) error {
	if v, ok := hexValue(c); ok {
		if d.digits++; d.digits > maxSizeDigits || d.size > math.MaxInt64>>4 {
			return errChunkSize
		}
		d.size = d.size<<4 | int64(v)
		return nil
	}
	if d.digits == 0 {
		return errChunkSize
	}
	return d.endPart(c, errChunkSize)
}

// endPart takes a byte that may follow a size or an extension.
func (d *ChunkDecoder) endPart(c byte, otherwise error) error {
	switch c {
	case ';':
		d.state = chunkName
	case '\r':
		d.state = chunkLF
	case ' ', '\t':
		d.state = chunkSpace
	default:
		return otherwise
	}
	return nil
}

// stepExtension follows the grammar of RFC 9112 section 7.1.1, in which white
// space may stand around ";" and "=" but not at the end.
func (d *ChunkDecoder) stepExtension(c byte) error {
	if d.extended++; d.extended > maxExtensions {
		return errExtensions
	}
	space, token := c == ' ' || c == '\t', message.TokenByte(c)
	switch d.state {
	case chunkSpace:
		if c == ';' {
			d.state = chunkName
			return nil
		}
		return unless(space)
	case chunkName:
		if token {
			d.state = chunkNameRest
			return nil
		}
		return unless(space)
	case chunkNameRest, chunkNameSpace:
		return d.stepName(c)
	case chunkValue:
		switch {
		case c == '"':
			d.state = chunkQuoted
		case token:
			d.state = chunkToken
		default:
			return unless(space)
		}
	case chunkToken:
		if !token {
			return d.endPart(c, errChunkExtension)
		}
	case chunkQuotedEnd:
		return d.endPart(c, errChunkExtension)
	default:
		return d.stepQuoted(c)
	}
	return nil
}

// stepName goes on in or behind the name of an extension.
func (d *ChunkDecoder) stepName(c byte) error {
	inName := d.state == chunkNameRest
	switch {
	case c == '=':
		d.state = chunkValue
	case c == ';':
		d.state = chunkName
	case c == ' ' || c == '\t':
		d.state = chunkNameSpace
	case inName && c == '\r':
		d.state = chunkLF
	default:
		return unless(inName && message.TokenByte(c))
	}
	return nil
}

// stepQuoted goes on in a quoted string (RFC 9110 section 5.6.4).
func (d *ChunkDecoder) stepQuoted(c byte) error {
	switch {
	case d.state == chunkQuotedPair:
		d.state = chunkQuoted
	case c == '"':
		d.state = chunkQuotedEnd
	case c == '\\':
		d.state = chunkQuotedPair
	}
	return unless(c >= ' ' && c != 0x7F || c == '\t')
}

// unless returns the error of a malformed extension, unless the byte is valid.
func unless(valid bool) error {
	if valid {
		return nil
	}
	return errChunkExtension
}

// beginChunk goes on behind a size line.
func (d *ChunkDecoder) beginChunk() error {
	if d.overhead > overheadBase+overheadRatio*d.received {
		return errOverhead
	}
	d.state = chunkData
	if d.size == 0 {
		d.state = chunkTrailer
		d.scan = Parser{Limits: trailerLimits, inFields: true}
	}
	return nil
}

// takeTrailer gathers the trailer section and parses it when it is complete.
func (d *ChunkDecoder) takeTrailer(buf []byte) (used int, err error) {
	if len(d.raw) == 0 && bytes.HasPrefix(buf, []byte("\r\n")) {
		d.state = chunkDone
		return 2, nil
	}
	had := len(d.raw)
	d.raw = append(d.raw, buf[:min(len(buf), trailerLimits.HeaderBytes+1-had)]...)
	end, err := d.scan.scan(d.raw)
	if err != nil || end == 0 {
		return len(d.raw) - had, err
	}
	d.raw = d.raw[:end]
	d.state = chunkDone
	return end - had, d.parseTrailer(view(d.raw))
}

func (d *ChunkDecoder) parseTrailer(section string) error {
	for {
		line, rest := cutLine(section)
		if line == "" {
			return nil
		}
		name, value, err := splitField(line)
		if err != nil {
			return err
		}
		if allowedTrailer(name) {
			d.trailer.Add(name, value)
		}
		section = rest
	}
}

// allowedTrailer reports whether a field may come in a trailer. Names with an
// underscore are dropped as they are in heads.
func allowedTrailer(name string) bool {
	return !message.Essential(name) && !message.HasUnderscore(name)
}

func hexValue(c byte) (byte, bool) {
	switch {
	case digit(c):
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}
