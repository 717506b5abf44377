// Functions that are found at run time or call themselves: virtual ones, tables and arguments, recursion; the heap.

struct Shape {
    __device__ virtual float area() const = 0;
    __device__ virtual int corners() const { return 0; }
    __device__ virtual ~Shape() {}
};

struct Circle : Shape {
    float radius;
    __device__ Circle(float r) : radius(r) {}
    __device__ float area() const override { return 3.0f * radius * radius; }
};

struct Box : Shape {
    float width, height;
    __device__ Box(float w, float h) : width(w), height(h) {}
    __device__ float area() const override { return width * height; }
    __device__ int corners() const override { return 4; }
};

extern "C" __global__ void virtual_functions(const float* x, float* y)
{
    Circle circle(x[threadIdx.x]);
    Box box(x[threadIdx.x], 2.0f);
    const Shape* shape = threadIdx.x % 3 ? static_cast<const Shape*>(&circle) : &box;
    y[threadIdx.x] = shape->area() + shape->corners();
}

extern "C" __global__ void objects_on_the_heap(const float* x, float* y)
{
    Shape* shape = threadIdx.x % 2 ? static_cast<Shape*>(new Circle(x[threadIdx.x])) : new Box(x[threadIdx.x], 0.5f);
    int* numbers = static_cast<int*>(malloc(4 * sizeof(int)));
    for (int i = 0; i < 4; i++)
        numbers[i] = threadIdx.x + i;
    y[threadIdx.x] = shape->area() + numbers[threadIdx.x % 4];
    free(numbers);
    delete shape;
}

using Operation = int (*)(int, int);
__device__ int plus(int a, int b) { return a + b; }
__device__ int minus(int a, int b) { return a - b; }
__device__ int times(int a, int b) { return a * b; }
__device__ int larger(int a, int b) { return a > b ? a : b; }
__device__ Operation operations[] = {plus, minus, times, larger};

extern "C" __global__ void table_of_functions(const int* which, const int* x, int* y)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    y[i] = operations[which[i]](x[i], 7);
}

__device__ __noinline__ int apply(Operation operation, const int* x, int n)
{
    int result = x[0];
    for (int i = 1; i < n; i++)
        result = operation(result, x[i]);
    return result;
}

extern "C" __global__ void functions_as_arguments(const int* x, int* y)
{
    Operation operation = threadIdx.x & 1 ? plus : larger;
    y[threadIdx.x] = apply(operation, x + threadIdx.x, 5);
}

__device__ unsigned fibonacci(unsigned n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

__device__ unsigned ackermann(unsigned m, unsigned n)
{
    if (m == 0)
        return n + 1;
    return n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}

extern "C" __global__ void recursion(unsigned* y)
{
    y[2 * threadIdx.x] = fibonacci(threadIdx.x % 12);
    y[2 * threadIdx.x + 1] = ackermann(2, threadIdx.x % 4);
}

__device__ void sort(int* x, int first, int last)
{
    if (first >= last)
        return;
    int pivot = x[(first + last) / 2], i = first, j = last;
    while (i <= j) {
        while (x[i] < pivot) i++;
        while (x[j] > pivot) j--;
        if (i <= j) {
            int kept = x[i];
            x[i++] = x[j];
            x[j--] = kept;
        }
    }
    sort(x, first, j);
    sort(x, i, last);
}

extern "C" __global__ void quicksort(int* x, int n)
{
    sort(x + n * threadIdx.x, 0, n - 1);
}
