package s3

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
)

// castagnoli is the polynomial of CRC32C (RFC 3385), with its bits reversed.
const castagnoli = crc32.Castagnoli

func crcTable() *crc32.Table { return crc32.MakeTable(castagnoli) } // made once by hash/crc32

func crcUpdate(sum uint32, p []byte) uint32 { return crc32.Update(sum, crcTable(), p) }

// crcJoin gives the CRC32C of two runs of bytes in a row from those of each; n is the length of the second. Appending n zero bytes to the
// first multiplies its remainder by x^(8n).
func crcJoin(first, second uint32, n int64) uint32 {
	return multiply(first, power(8*uint64(n))) ^ second //nolint:gosec // lengths are not negative
}

// power gives x^n modulo the polynomial. Bit 31 is the coefficient of x^0.
func power(n uint64) uint32 {
	result, square := uint32(1)<<31, uint32(1)<<30
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			result = multiply(result, square)
		}
		square = multiply(square, square)
	}
	return result
}

// multiply multiplies two polynomials modulo the polynomial.
func multiply(a, b uint32) uint32 {
	var product uint32
	for ; a != 0; a <<= 1 {
		if a&(1<<31) != 0 {
			product ^= b
		}
		low := b & 1
		b >>= 1
		if low != 0 {
			b ^= castagnoli
		}
	}
	return product
}

// crcText is how headers carry a CRC32C: base64 of its four bytes, most significant first.
func crcText(sum uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}

func parseCRC(s string) (uint32, bool) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(b), true
}
