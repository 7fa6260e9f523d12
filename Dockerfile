# docker build -t ismila . && docker run --rm -p 127.0.0.1:8000:8000 -v "$PWD/exported:/model:ro" ismila
# where `ismila export --format onnx --to exported` wrote the model. No torch in it. `make test-image` does what stands
# here without Docker.
FROM python:3.11-slim
WORKDIR /app
COPY requirements-serve.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check -r requirements-serve.txt
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps .
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
CMD ["ismila", "serve", "--model", "/model", "--host", "0.0.0.0", "--port", "8000"]
