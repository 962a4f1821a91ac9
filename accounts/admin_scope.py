"""The admin within one's organizations: the base of every page that staff see.

A member of staff sees the rows of the organizations in which the role allows to see them, and acts where it allows to
act; a row of somebody else's is answered as one that is not there. This holds for lists, pages, actions, search,
autocomplete, the choices of a foreign key and those of a filter. What would go around it is refused when the class is
used: raw id fields (they show the name of any row whose number is typed in) and filters that list all related rows.
"""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from django.contrib import messages
from django.contrib.admin import AdminSite, RelatedOnlyFieldListFilter
from django.contrib.admin.utils import get_fields_from_path, unquote
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db.models import Field, ForeignKey, ManyToManyField, Model, QuerySet
from django.forms import ModelChoiceField, ModelMultipleChoiceField
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin, StackedInline, TabularInline
from unfold.decorators import action as unfold_action
from unfold.decorators import display as unfold_display

from .models import Organization, User
from .permissions import Action, AnyUser, may, organizations_of
from .refusals import Refusal

# As unfold's actions hand it on: a row, or its number as the address has it.
Row = Model | str | int | None
Method = TypeVar("Method", bound=Callable[..., Any])


def action(**options: Any) -> Callable[[Method], Method]:
    """Unfold's `action`, whose own types are narrower than what it takes and gives."""
    decorate: Callable[[Method], Method] = unfold_action(**options)  # type: ignore[assignment]
    return decorate


def display(**options: Any) -> Callable[[Method], Method]:
    """Unfold's `display`, likewise."""
    return unfold_display(**options)


class ScopedChoices:
    """Limits what a form offers, and accepts, for a foreign key."""

    admin_site: AdminSite

    def formfield_for_foreignkey(self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any) -> ModelChoiceField[Any] | None:
        kwargs.setdefault("queryset", self.choices_for(db_field, request))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)  # type: ignore[misc, no-any-return]

    def formfield_for_manytomany(
        self, db_field: ManyToManyField[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelMultipleChoiceField[Any] | None:
        kwargs.setdefault("queryset", self.choices_for(db_field, request))
        return super().formfield_for_manytomany(db_field, request, **kwargs)  # type: ignore[misc, no-any-return]

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]
        if field is not None and isinstance(field.widget, RelatedFieldWidgetWrapper):
            # Windows that make or change another row have no place in a form of this one.
            for verb in ("add", "change", "delete", "view"):
                setattr(field.widget, f"can_{verb}_related", False)
        return field

    def choices_for(self, db_field: Field[Any, Any], request: HttpRequest) -> QuerySet[Any]:
        """The rows that `request.user` may choose. Of a model that nobody scoped there are none, but for the platform."""
        model: type[Model] = db_field.related_model  # type: ignore[assignment]
        if model is Organization:
            return organizations_of(request.user, self.choosing_action())
        if self.admin_site.is_registered(model):
            model_admin = self.admin_site.get_model_admin(model)
            if isinstance(model_admin, ScopedAdmin):
                return model_admin.get_queryset(request)
        rows: QuerySet[Any] = model._meta.default_manager.all()  # type: ignore[union-attr]
        if request.user.is_superuser:
            return rows
        if model is User:
            return rows.filter(memberships__organization__in=organizations_of(request.user, Action.VIEW_MEMBERS)).distinct()
        return rows.none()

    def choosing_action(self) -> Action | None:
        """What one must be allowed to do in an organization to choose it."""
        raise NotImplementedError


class ScopedAdmin(ScopedChoices, ModelAdmin):  # type: ignore[misc]
    """A page of rows that belong to organizations.

    `organization_path` leads from a row to its organization, as a lookup ("persona__organization"; "pk" for organizations
    themselves). The four actions are what the role must allow; None means nobody, not even the platform.
    """

    actions_detail: Any = ()
    fieldsets: ClassVar[Any] = None
    add_fieldsets: Any = ()

    organization_path: ClassVar[str] = "organization"
    view_action: ClassVar[Action | None] = None
    add_action: ClassVar[Action | None] = None
    change_action: ClassVar[Action | None] = None
    delete_action: ClassVar[Action | None] = None

    def __init__(self, model: type[Model], admin_site: AdminSite) -> None:
        super().__init__(model, admin_site)
        if self.raw_id_fields:
            raise ImproperlyConfigured(f"{type(self).__name__}: a raw id field shows the rows of other organizations.")

    # --- Which rows -----------------------------------------------------------------------------------------------------
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        if self.view_action is None:
            return rows.none()
        if request.user.is_superuser:
            return rows
        return rows.filter(**{f"{self.organization_path}__in": organizations_of(request.user, self.view_action)})

    def rows_that_may(self, request: HttpRequest, rows: QuerySet[Any], action: Action) -> QuerySet[Any]:
        """Of the rows that were ticked, those on which `request.user` may do `action`: seeing a row is not enough."""
        if request.user.is_superuser:
            return rows
        return rows.filter(**{f"{self.organization_path}__in": organizations_of(request.user, action)})

    def organization_of(self, row: Model) -> Organization | None:
        """The organization that a row belongs to; None for one that binds them all."""
        if self.organization_path == "pk":
            assert isinstance(row, Organization)
            return row
        found: Any = row
        for name in self.organization_path.split("__"):
            found = getattr(found, name) if found is not None else None
        assert found is None or isinstance(found, Organization)
        return found

    def row_or_denied(self, request: HttpRequest, object_id: str, action: Action) -> Any:
        """The row of an action's address. Raises PermissionDenied where there is none, or none that one may act on."""
        row = self.get_object(request, unquote(object_id))
        if row is None or not self._may(request, action, row):
            raise PermissionDenied
        return row

    # --- What one may do with them --------------------------------------------------------------------------------------
    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._may(request, self.view_action, None)

    def has_view_permission(self, request: HttpRequest, obj: Row = None) -> bool:
        return self._may(request, self.view_action, obj)

    def has_add_permission(self, request: HttpRequest, _obj: Row = None) -> bool:
        return self._may(request, self.add_action, None)

    def has_change_permission(self, request: HttpRequest, obj: Row = None) -> bool:
        return self._may(request, self.change_action, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Row = None) -> bool:
        return self._may(request, self.delete_action, obj)

    def _may(self, request: HttpRequest, action: Action | None, row: Row) -> bool:
        user: AnyUser = request.user
        if action is None:
            return False
        if row is None:
            return organizations_of(user, action).exists() or (user.is_active and user.is_superuser)
        found = row if isinstance(row, Model) else self.get_object(request, unquote(str(row)))
        if found is None:
            return False
        organization = self.organization_of(found)
        return (user.is_active and user.is_superuser) if organization is None else may(user, action, organization)

    # --- Forms, filters, actions ----------------------------------------------------------------------------------------
    def choosing_action(self) -> Action | None:
        return self.add_action

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        fields = [*super().get_readonly_fields(request, obj)]
        # A row stays where it was made: what hangs on it would else change hands.
        return fields if obj is None or "__" in self.organization_path else [*fields, self.organization_path]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        organizations = organizations_of(request.user, self.add_action)[:2]
        if len(organizations) == 1:
            initial.setdefault(self.organization_path, organizations[0].pk)
        return initial

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        return [self._scoped_filter(item) for item in super().get_list_filter(request)]

    def _scoped_filter(self, item: Any) -> Any:
        path, filter_class = item if isinstance(item, tuple | list) else (item, None)
        if not isinstance(path, str):
            return item
        is_relation = get_fields_from_path(self.model, path)[-1].is_relation
        if is_relation and filter_class is None:
            return (path, RelatedOnlyFieldListFilter)
        if (is_relation and not issubclass(filter_class, RelatedOnlyFieldListFilter)) or (not is_relation and "__" in path):
            raise ImproperlyConfigured(f"{type(self).__name__}: the filter {path} lists the rows of other organizations.")
        return item

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        # It deletes without asking the domain; a page of its own asks for each row.
        actions.pop("delete_selected", None)
        return actions

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self._refusals_are_said(request, super().changeform_view, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._refusals_are_said(request, super().delete_view, *args, **kwargs)

    def _refusals_are_said(self, request: HttpRequest, view: Callable[..., HttpResponse], *args: Any, **kwargs: Any) -> HttpResponse:
        """What the domain refuses stands on the page that asked; Django has rolled back the rest."""
        try:
            return view(request, *args, **kwargs)
        except Refusal as refusal:
            self.message_user(request, str(refusal), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def confirm(
        self, request: HttpRequest, *, title: str, sentences: list[str], button: str, back: str, is_danger: bool = False
    ) -> TemplateResponse | None:
        """The page that asks before something happens; None once its button was pressed.

        An action's link is a GET, which must change nothing.
        """
        if request.method == "POST":
            return None
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "sentences": sentences,
            "button": button,
            "back": back,
            "is_danger": is_danger,
        }
        return TemplateResponse(request, "accounts/confirm.html", context)


class _ScopedInline(ScopedChoices):
    """Rows inside another row's page: what one may do with them follows from that page."""

    parent_model: type[Model]
    may_edit: ClassVar[bool] = True

    def choosing_action(self) -> Action | None:
        return self._parent.change_action

    def has_view_permission(self, request: HttpRequest, obj: Row = None) -> bool:
        return self._parent.has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest, obj: Row = None) -> bool:
        return self.has_change_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Row = None) -> bool:
        if obj is None:
            return self.may_edit and self._parent.has_add_permission(request)
        return self.may_edit and self._parent.has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Row = None) -> bool:
        return self.has_change_permission(request, obj)

    @property
    def _parent(self) -> ScopedAdmin:
        parent = self.admin_site.get_model_admin(self.parent_model)
        assert isinstance(parent, ScopedAdmin)
        return parent


class ScopedStackedInline(_ScopedInline, StackedInline):  # type: ignore[misc]
    pass


class ScopedTabularInline(_ScopedInline, TabularInline):  # type: ignore[misc]
    pass


class PlatformAdmin(ModelAdmin):
    """A page for platform administrators alone."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active and request.user.is_superuser

    def has_view_permission(self, request: HttpRequest, _obj: Row = None) -> bool:
        return self.has_module_permission(request)

    def has_add_permission(self, request: HttpRequest, _obj: Row = None) -> bool:
        return self.has_module_permission(request)

    def has_change_permission(self, request: HttpRequest, _obj: Row = None) -> bool:
        return self.has_module_permission(request)

    def has_delete_permission(self, _request: HttpRequest, _obj: Row = None) -> bool:
        return False
