from authz.edge.grpc.admission import methods
from authz.edge.grpc.transport import Services


def admitting(limit, **kinds):
    refused = []
    terms = {"unary": {}, "streams": {}, **kinds}
    return methods(Services(**terms, limit=limit, refused=refused.append)), refused


def test_as_many_calls_as_the_limit_are_admitted_and_each_that_ends_makes_room_for_one():
    found, refused = admitting(2, unary={"/a/M": None})
    method = found["/a/M"]
    seen = [method.admit() for _ in range(3)]
    method.release()
    seen += [method.admit(), method.admit()]

    assert [True, True, False, True, False] == seen
    assert ["/a/M", "/a/M"] == refused


def test_each_method_has_a_share_of_its_own():
    found, refused = admitting(1, unary={"/a/M": None, "/a/N": None}, streams={"/a/S": None})

    assert {"/a/M": True, "/a/N": True, "/a/S": True} == {
        name: method.admit() for name, method in found.items()
    }
    assert [] == refused
