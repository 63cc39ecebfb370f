# llmkit serve without torch, as a user without rights. Models are mounted, never built in; keys lie in a volume.
#
#     docker build -t llmkit .
#     docker run --rm -v llmkit-keys:/keys llmkit --new-key ada
#     docker run -p 8000:8000 -v ./runs:/models:ro -v llmkit-keys:/keys llmkit /models/credit/model
#
# The keys' volume is a named one: docker gives it to the user below, as /keys is here; a folder of the host stays its
# owner's. Models are to be readable for others (chmod -R a+rX). Encrypted ones need an identity, mounted too:
# -e LLMKIT_IDENTITY_FILE=/run/secrets/identity.
FROM python:3.12-slim

WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY llmkit ./llmkit
RUN pip install --no-cache-dir -c constraints.txt '.[serve,encrypt]' && rm -rf /src/* \
    && useradd --system --uid 10001 --no-create-home llmkit && mkdir /keys && chown llmkit /keys

USER llmkit
WORKDIR /keys
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK CMD python -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=3)"
ENTRYPOINT ["llmkit", "serve", "--host", "0.0.0.0", "--keys", "/keys/llmkit-keys.json"]
