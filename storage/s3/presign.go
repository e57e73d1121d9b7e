package s3

import (
	"context"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"sluice/media"
	"sluice/storage"
)

// Presign signs a URL by the key alone.
func (d *Driver) Presign(ctx context.Context, o media.Object, p storage.Presentation, issued time.Time, life time.Duration) (string, error) {
	in := &s3.GetObjectInput{Bucket: &d.o.Bucket, Key: aws.String(d.objectName(o.Key))}
	for field, v := range map[**string]string{
		&in.ResponseContentType: p.ContentType, &in.ResponseContentDisposition: p.ContentDisposition, &in.ResponseCacheControl: p.CacheControl,
	} {
		if v != "" {
			*field = aws.String(v)
		}
	}
	out, err := d.presign.PresignGetObject(ctx, in, func(po *s3.PresignOptions) {
		po.Expires = life
		po.Presigner = signedAt{po.Presigner, issued.UTC().Truncate(time.Second)}
	})
	if err != nil {
		return "", kinded("presign", err)
	}
	return out.URL, nil
}

// signedAt signs as of a time of its own, so that URLs of one window are the same.
type signedAt struct {
	s3.HTTPPresignerV4
	at time.Time
}

func (s signedAt) PresignHTTP(
	ctx context.Context, c aws.Credentials, r *http.Request, hash, service, region string, _ time.Time, o ...func(*v4.SignerOptions),
) (string, http.Header, error) {
	return s.HTTPPresignerV4.PresignHTTP(ctx, c, r, hash, service, region, s.at, o...)
}
